"""LiDAR clouds to modality images, against OpenCV's projectPoints."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.preprocessing.lidar import preprocess_lidar
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.types import Camera, InvalidMeasurement, Measurement, Modality

SCALE = RangeScale()
# x forward, y left, z up, half a metre above the camera and turned a little.
MATRIX = transform((0.1, -0.5, 0.2), (0.5, -0.5, 0.5, -0.5)) @ transform(
    (0, 0, 0), (0.01, 0.02, -0.03, 1.0)
)
LENSES = {
    "pinhole": ("plumb_bob", ()),
    "plumb_bob": ("plumb_bob", (-0.28, 0.09, 0.002, -0.001, -0.01)),
    "rational": ("rational_polynomial", (0.3, -0.1, 0.001, 0.002, 0.02, 0.5, -0.1, 0.01)),
    "fisheye": ("equidistant", (-0.02, 0.01, -0.004, 0.0005)),
}


def lidar(cloud, matrix=MATRIX):
    return Measurement(Modality.LIDAR, 1, cloud, None, matrix)


def sweep(count=20000, seed=0):
    random = np.random.default_rng(seed)
    azimuth = random.uniform(-np.pi, np.pi, count)
    elevation = random.uniform(-0.5, 0.4, count)
    distance = random.uniform(0.3, 90, count)
    return np.stack(
        [
            distance * np.cos(azimuth) * np.cos(elevation),
            distance * np.sin(azimuth) * np.cos(elevation),
            distance * np.sin(elevation),
            random.random(count),
        ],
        1,
    ).astype(np.float32)


def by_opencv(cloud, view, matrix):
    """Nearest range and its intensity and height on every pixel, one point after the other."""
    kept = cloud[np.linalg.norm(cloud[:, :3], axis=1) >= 1.0].astype(np.float64)
    points = kept[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
    # Points that no lens of this test sees: OpenCV would fold them back.
    front = (points[:, 2] > 0) & (np.hypot(points[:, 0], points[:, 1]) < 1.3 * points[:, 2])
    points, intensity = points[front], kept[front, 3]
    rvec = np.zeros(3)
    d = np.array(view.distortion or (0.0,) * 4)
    project = cv2.fisheye.projectPoints if view.model == "equidistant" else cv2.projectPoints
    uv = project(points[:, None], rvec, rvec, view.matrix, d)[0].reshape(-1, 2)
    image = np.zeros((3, view.height, view.width))
    nearest = np.full((view.height, view.width), np.inf)
    for (u, v), point, reflectivity in zip(uv, points, intensity, strict=True):
        column, row = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
        distance = np.linalg.norm(point)
        if 0 <= column < view.width and 0 <= row < view.height and distance < nearest[row, column]:
            nearest[row, column] = distance
            closeness = 1 - np.log(distance / SCALE.near) / np.log(SCALE.far / SCALE.near)
            height = (-point[1] - SCALE.low) / (SCALE.high - SCALE.low)
            image[:, row, column] = np.clip([closeness, reflectivity, height], 0, 1)
    return image


@pytest.mark.parametrize("lens", LENSES)
def test_the_nearest_points_lie_where_opencv_projects_them(lens):
    model, d = LENSES[lens]
    view = Camera(160, 90, 100.0, 101.0, 80.0, 44.0, d, model)
    cloud = sweep()
    image = preprocess_lidar(lidar(cloud), view, SCALE, dilation=1)
    expected = by_opencv(cloud, view, MATRIX)
    assert (expected[0] > 0).sum() > 1000
    # Single precision may round a point on the line between two pixels to the other one.
    differ = (np.abs(image - expected) > 1e-4).any(0)
    assert differ.mean() < 0.002


def test_a_wide_point_covers_its_neighbours_unless_they_are_nearer():
    view = Camera(160, 90, 100.0, 100.0, 80.0, 45.0)
    cloud = np.array([[0, 0, 10, 0.5], [0.1, 0, 5, 0.9]], np.float32)
    image = preprocess_lidar(lidar(cloud, np.eye(4)), view, SCALE, dilation=2)
    np.testing.assert_allclose(image[1, 45:47, 80:84], [[0.5, 0.5, 0.9, 0.9]] * 2)
    assert (image[1] > 0).sum() == 8


def test_points_of_the_vehicle_itself_are_dropped():
    view = Camera(160, 90, 100.0, 100.0, 80.0, 45.0)
    cloud = np.array([[0, 0, 0.9, 0.9], [0, 0, 10, 0.5]], np.float32)
    image = preprocess_lidar(lidar(cloud, np.eye(4)), view, SCALE, dilation=1)
    assert image[1, 45, 80] == np.float32(0.5)


@pytest.mark.parametrize(
    ("cloud", "reason"),
    [
        (np.zeros((0, 4), np.float32), "cloud is empty"),
        (np.full((9, 4), np.nan, np.float32), "no point in view"),
        (np.array([[-10, 0, 0, 1]], np.float32), "no point in view"),
        (np.array([[0.5, 0, 0, 1]], np.float32), "no point in view"),
        (np.ones((5, 3), np.float32), "the columns x, y, z"),
        (None, "the columns x, y, z"),
    ],
)
def test_a_cloud_that_shows_nothing_is_unusable(cloud, reason):
    view = Camera(160, 90, 100.0, 100.0, 80.0, 45.0)
    with pytest.raises(InvalidMeasurement, match=reason):
        preprocess_lidar(lidar(cloud), view, SCALE)


@pytest.mark.parametrize("optical", [True, False])
def test_a_camera_whose_frame_is_no_optical_one_is_said(optical):
    ahead = np.array([[9, 0, -1, 1], [9, 1, -1, 1]], np.float32)
    behind = ahead * np.array([-1, 1, 1, 1], np.float32)
    pose = np.eye(4)
    if optical:
        pose[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    seen = Measurement(Modality.LIDAR, 1, behind if optical else ahead, reference_from_sensor=pose)
    with pytest.raises(InvalidMeasurement, match="no point in view") as caught:
        preprocess_lidar(seen, Camera(160, 90, 100.0, 100.0, 80.0, 45.0), SCALE)
    assert ("an optical frame" in str(caught.value)) == (not optical)
