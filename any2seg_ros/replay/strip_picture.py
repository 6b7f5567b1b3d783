"""The film strip as one picture: a row for each moment, a column for each view."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from any2seg_ros.replay.gallery import STRIP_WIDTH, Moment
from any2seg_ros.types import Modality

ROWS = 6
"""Moments at most; of more, as many evenly spread in time."""
HEAD = 24
"""px of the line that names the columns."""
QUALITY = 85


def strip_picture(moments: Sequence[Moment]) -> bytes | None:
    """A JPEG of camera, mask of all sensors together and of each alone; None for no moment."""
    if not moments:
        return None
    chosen = np.unique(np.linspace(0, len(moments) - 1, ROWS).round().astype(int))
    shown = [moments[i] for i in chosen]
    sensors = sorted({m for moment in shown for m in moment.alone})
    height = max(moment.together.overlay.shape[0] for moment in shown)
    rows = [_row(moment, sensors, height) for moment in shown]
    picture = np.vstack([_head(sensors), *rows])
    encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return encoded.tobytes()


def _head(sensors: Sequence[Modality]) -> np.ndarray:
    titles = ["camera", "all together", *(f"{m.label} alone" for m in sensors)]
    head = np.full((HEAD, STRIP_WIDTH * len(titles), 3), 255, np.uint8)
    for column, title in enumerate(titles):
        at = (STRIP_WIDTH * column + 6, HEAD - 8)
        cv2.putText(head, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return head


def _row(moment: Moment, sensors: Sequence[Modality], height: int) -> np.ndarray:
    """The tiles of a moment; white where a sensor said nothing."""
    alone = [moment.alone[m].overlay if m in moment.alone else None for m in sensors]
    tiles = [moment.camera, moment.together.overlay, *alone]
    return np.hstack([_tile(tile, height) for tile in tiles])


def _tile(picture: np.ndarray | None, height: int) -> np.ndarray:
    tile = np.full((height, STRIP_WIDTH, 3), 255, np.uint8)
    if picture is not None:
        rows, columns = min(height, picture.shape[0]), min(STRIP_WIDTH, picture.shape[1])
        tile[:rows, :columns] = picture[:rows, :columns]
    return tile
