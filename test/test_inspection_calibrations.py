"""Geometry in words: as camera_info and the parameters have it."""

from __future__ import annotations

import numpy as np

from any2seg_ros.bags import BagCalibration
from any2seg_ros.inspection.calibrations import calibration_rows
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.types import Camera, Modality

RGB, DEPTH, LIDAR, EVENT = Modality


def test_each_sensor_has_its_camera_and_its_pose_as_the_parameter_takes_it():
    place = (0.27, -0.08, -0.0), (0.5, -0.5, 0.5, 0.5)
    calibration = BagCalibration(
        cameras={
            RGB: Camera(1242, 375, 721.54, 720.0, 609.56, 172.85),
            DEPTH: Camera(640, 480, 500.0, 500.0, 320.0, 240.0, (0.1, -0.25), "plumb_bob"),
            EVENT: Camera(640, 480, 300.0, 300.0, 320.0, 240.0, (), "equidistant"),
        },
        poses={RGB: np.eye(4), LIDAR: transform(*place)},
    )
    rows = {row.sensor: row for row in calibration_rows(calibration)}
    assert list(rows) == ["rgb", "depth", "lidar", "event"]
    assert rows["rgb"].camera == "1242x375, f 721.5 720.0, c 609.6 172.8, no distortion"
    assert rows["depth"].camera.endswith("c 320.0 240.0, plumb_bob 0.1 -0.25")
    assert rows["event"].camera.endswith(", equidistant")
    assert rows["depth"].pose == rows["lidar"].camera == ""
    np.testing.assert_allclose([float(word) for word in rows["lidar"].pose.split()], sum(place, ()))
    assert "-0.0000" not in rows["lidar"].pose


def test_without_a_calibration_there_is_nothing_to_tell():
    assert calibration_rows(None) == []
