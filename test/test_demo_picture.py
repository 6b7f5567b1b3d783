"""The demo in one image: a row per phase with masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the demo's recordings come over DDS: needs rclpy")

from any2seg_ros.demo.picture import CELL, DARK, write_picture
from any2seg_ros.demo.recorder import RecordedImage, Recording
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.demo.scoring import Run
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
PHASES = (
    Phase("all four", tuple(Modality), 1.0),
    Phase("nothing", (), 1.0),
    Phase("LiDAR alone", (Modality.LIDAR,), 1.0),
)


def run_with_masks_in(*phases: int) -> Run:
    masks = [
        RecordedImage(stamp, stamp, "camera", np.full((27, 48), 3, np.uint8))
        for stamp in (START + phase * SECOND + SECOND // 2 for phase in phases)
    ]
    starts = [START + k * SECOND for k in range(3)]
    return Run(PHASES, starts, {}, Recording(masks=masks), {}, 0)


def test_there_is_a_row_for_every_phase_with_masks(tmp_path: Path) -> None:
    camera = {SECOND // 2: np.full((54, 96, 3), 200, np.uint8)}
    write_picture(tmp_path / "demo.jpg", run_with_masks_in(0, 2), camera, DELIVER)
    image = cv2.imread(str(tmp_path / "demo.jpg"))
    assert image.shape == (2 * CELL[1], 3 * CELL[0], 3)
    first, last = image[CELL[1] - 20, 20], image[2 * CELL[1] - 20, 20]
    assert np.abs(first.astype(int) - 200).max() < 6  # seen by the node
    assert np.abs(last.astype(int) - 200 * DARK).max() < 6  # darkened: not seen by it


def test_without_masks_there_is_no_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "demo.jpg", run_with_masks_in(), {}, DELIVER)
    assert not (tmp_path / "demo.jpg").exists()
