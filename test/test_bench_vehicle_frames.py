"""Frames of the full-size sensors without a ROS graph."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

from any2seg_ros.bench import vehicle_frames, vehicle_sensors
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.types import Modality


@pytest.mark.parametrize("ahead", [False, True])
def test_frames_of_what_is_played_have_all_four_sensors_of_full_size(ahead):
    preparation = Preparation((64, 48), PreprocessingConfig())
    shown = []
    for frame in vehicle_frames.frames(preparation, 3, ahead):
        prepared = preparation.prepare(frame)
        assert set(prepared.images) == set(Modality), prepared.frame.reasons
        found = prepared.frame.measurements
        assert found[Modality.RGB].data.shape == (720, 1280, 3)
        assert found[Modality.DEPTH].data.shape == (480, 848)
        assert len(found[Modality.LIDAR].data) == vehicle_sensors.POINTS
        shown.append(prepared.images)
    assert len(shown) == 3 and not np.array_equal(shown[0][Modality.RGB], shown[1][Modality.RGB])
