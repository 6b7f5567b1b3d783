"""The simulator's benchmark times every part of a frame."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from any2seg_ros.bench import simulation


def test_every_part_of_a_frame_is_timed() -> None:
    steps = simulation._steps()
    parts = ("town", "rgb and labels", "depth", "lidar", "capture with events", "files")
    assert tuple(steps) == parts
    assert all(milliseconds > 0 for milliseconds in steps.values())
