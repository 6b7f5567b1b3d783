"""LiDAR over the camera's image: points are where the image shows what they hit."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import tiny_drive

from any2seg_ros.inspection import inspect_bag
from any2seg_ros.inspection.overlay import WIDTH, lidar_over_image
from any2seg_ros.types import Modality


def found_in(tmp_path, rows):
    return inspect_bag(tiny_drive.write(tmp_path / "bag", rows))


def test_points_are_drawn_where_the_camera_sees_them(tmp_path):
    rows = tiny_drive.rows(8)
    grey = cv2.imencode(".png", np.full((tiny_drive.HEIGHT, tiny_drive.WIDTH, 3), 128, np.uint8))[1]
    for _, topic, message in rows:
        if topic == "/rgb/image/compressed":
            message.data = grey.ravel()
        if topic == "/lidar/points":
            points = message.data.view("<f4").reshape(message.width, -1)
            points[:, :3] = (10.0, 1.0, 0.5)  # x forward, y left, z up, of the tiny drive's LiDAR
    found = found_in(tmp_path, rows)
    drawn = lidar_over_image(found)
    calibration = found.calibration
    camera, pose = calibration.reference, calibration.poses[Modality.LIDAR]
    x, y, z = (pose @ [10.0, 1.0, 0.5, 1.0])[:3]
    at = round(camera.fx * x / z + camera.cx), round(camera.fy * y / z + camera.cy)
    differs = np.argwhere((drawn != 128).any(2))
    np.testing.assert_allclose(differs.mean(0), at[::-1], atol=1)
    assert len(differs) < 20


def test_where_something_lacks_there_is_no_picture(tmp_path):
    found = found_in(tmp_path, tiny_drive.rows(6))
    assert lidar_over_image(found).shape == (tiny_drive.HEIGHT, tiny_drive.WIDTH, 3)
    assert WIDTH >= tiny_drive.WIDTH
    sensors = {m: t for m, t in found.layout.sensors.items() if m != Modality.LIDAR}
    assert lidar_over_image(replace(found, layout=replace(found.layout, sensors=sensors))) is None
    assert lidar_over_image(replace(found, calibration=None)) is None
