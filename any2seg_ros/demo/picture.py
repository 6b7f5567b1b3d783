"""The demo in one image: camera, mask and overlay of the same moment, a row per phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.demo.page import nearest, pictured_mask
from any2seg_ros.demo.scoring import Run
from any2seg_ros.html.pictures import overlay_image
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality

CELL = (384, 216)
DARK = 0.35
"""Brightness of a camera image that the node did not get."""


def write_picture(
    path: Path, run: Run, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy
) -> None:
    """Write the JPEG; `camera`: RGB images uint8 (H, W, 3) by ns since the start of the bag."""
    rows = [
        _row(run, index, camera, taxonomy)
        for index, phase in enumerate(run.phases)
        if phase.subset and pictured_mask(run, index) is not None
    ]
    if rows:
        cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def _row(run: Run, index: int, camera: Mapping[int, np.ndarray], taxonomy: Taxonomy) -> np.ndarray:
    mask = pictured_mask(run, index)
    assert mask is not None
    colors = cv2.resize(taxonomy.colorize(mask.pixels), CELL, interpolation=cv2.INTER_NEAREST)
    image = nearest(camera, mask.stamp - run.starts[index])
    image = cv2.resize(image, CELL, interpolation=cv2.INTER_AREA)
    overlay = overlay_image(image, colors)
    if Modality.RGB not in run.phases[index].subset:
        image = (image * DARK).astype(np.uint8)
        _write(image, "camera is off", (116, 112))
    _write(colors, run.phases[index].name, (8, 20))
    return np.hstack([image, colors, overlay])


def _write(image: np.ndarray, text: str, at: tuple[int, int]) -> None:
    font, black, white = cv2.FONT_HERSHEY_SIMPLEX, (0, 0, 0), (255, 255, 255)
    # An outline of shifted copies: thicker letters would be wider, too.
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        cv2.putText(image, text, (at[0] + x, at[1] + y), font, 0.6, black, 1, cv2.LINE_AA)
    cv2.putText(image, text, at, font, 0.6, white, 1, cv2.LINE_AA)
