"""Points get the class of the pixel that they fall on, from LiDAR or from depth."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.runtime.rendering import organized_points, overlay, semantic_points
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Calibration, Camera, Frame, Measurement, Modality, Segmentation

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
LABELS = np.repeat(np.array([3, 9], np.uint8), 32)[None].repeat(48, 0)
"""Class 3 in the left half, 9 in the right."""


def result_of(*measured: Measurement, reference: Camera = CAMERA) -> Result:
    confidence = np.full(LABELS.shape, 0.5, np.float32)
    found = Segmentation(LABELS, confidence, {m.modality: 1.0 for m in measured})
    frame = Frame.of(*measured, calibration=Calibration(reference))
    return Result(frame, {}, {}, None, 0.0, segmentation=found, infer_s=0.0)


def points_of(measurement: Measurement) -> np.ndarray:
    return semantic_points(result_of(measurement), LABELS, DELIVER)


def test_points_of_the_lidar_have_the_class_of_their_pixel() -> None:
    cloud = np.array([[-1, 0, 10, 0], [1, 0, 10, 0], [0, 0, -5, 0], [90, 0, 10, 0]], np.float32)
    points = points_of(Measurement(Modality.LIDAR, 1, cloud))
    assert points["class_id"].tolist() == [3, 9]
    np.testing.assert_allclose(points["x"], [-1, 1])
    assert points["confidence"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("camera", [CAMERA, None])
def test_depth_gives_points_too_also_where_it_is_registered(camera: Camera | None) -> None:
    depth = np.full((48, 64), 2000, np.uint16)
    depth[:24] = 0
    points = points_of(Measurement(Modality.DEPTH, 1, depth, camera))
    assert len(points) == 24 * 64
    np.testing.assert_allclose(points["z"], 2.0)
    assert (points["class_id"] == np.where(points["x"] < 0, 3, 9)).all()


def pixel_of(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of the reference camera's image that points lie in."""
    column = CAMERA.fx * points["x"] / points["z"] + CAMERA.cx
    row = CAMERA.fy * points["y"] / points["z"] + CAMERA.cy
    return np.round(column), np.round(row)


@pytest.mark.parametrize("camera", [CAMERA, None, Camera(128, 96, 100.0, 100.0, 63.5, 47.5)])
def test_an_organized_cloud_has_a_point_for_every_pixel_and_nan_without_depth(camera) -> None:
    size = (camera or CAMERA).height, (camera or CAMERA).width
    depth = np.full(size, 2000, np.uint16)
    depth[: size[0] // 2] = 0
    result = result_of(Measurement(Modality.DEPTH, 1, depth, camera))
    points = organized_points(result, LABELS, DELIVER)
    assert points.shape == LABELS.shape and np.array_equal(points["class_id"], LABELS)
    assert np.isnan(points["z"][:23]).all() and np.isnan(points["x"][:23]).all()
    np.testing.assert_allclose(points["z"][25:], 2.0)
    columns, rows = pixel_of(points[25:])
    assert np.array_equal(columns, np.arange(64)[None].repeat(23, 0))
    assert np.array_equal(rows, np.arange(25, 48)[:, None].repeat(64, 1))


def test_the_nearest_points_of_the_lidar_fill_what_depth_leaves_open() -> None:
    depth = np.full((48, 64), 2.0, np.float32)
    depth[:, 32:] = np.nan
    cloud = np.array([[0.61, 0, 3, 0], [2.03, 0, 10, 0], [-1, 0, 10, 0]], np.float32)
    both = Measurement(Modality.DEPTH, 1, depth), Measurement(Modality.LIDAR, 1, cloud)
    points = organized_points(result_of(*both), LABELS, DELIVER)
    around = np.argwhere(np.isfinite(points["z"][:, 32:])) + (0, 32)
    assert sorted(map(tuple, around)) == [(23, 42), (24, 41), (24, 42), (24, 43), (25, 42)]
    for row, column in around:
        assert points["z"][row, column] == pytest.approx(3.0)
        assert (column, row) == pixel_of(points[row, column])
    assert points["x"][24, 42] == np.float32(0.61) and points["z"][24, 26] == 2.0
    alone = organized_points(result_of(both[1]), LABELS, DELIVER)
    assert set(np.round(alone["z"][np.isfinite(alone["z"])], 5).tolist()) == {3.0, 10.0}
    nothing = organized_points(result_of(Measurement(Modality.RGB, 1, None)), LABELS, DELIVER)
    assert np.isnan(nothing["z"]).all()


def test_an_overlay_shows_what_the_reference_camera_would_see() -> None:
    """The camera has twice the focal length of the reference: its picture is the middle half."""
    camera = Camera(64, 48, 80.0, 80.0, 31.5, 23.5)
    reference = Camera(64, 48, 40.0, 40.0, 31.5, 23.5)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = 200
    measurement = Measurement(Modality.RGB, 1, picture, camera)
    result = result_of(measurement, reference=reference)
    laid = overlay(result, np.zeros((48, 64, 3), np.uint8), 0.0)
    assert (laid[24, 17:31] < 20).all() and (laid[24, 34:47] > 180).all()
    own = overlay(result_of(measurement, reference=camera), np.zeros((48, 64, 3), np.uint8), 0.0)
    assert np.array_equal(own, picture)
