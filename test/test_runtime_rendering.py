"""Points get the class of the pixel that they fall on, from LiDAR or from depth."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.runtime.rendering import overlay, semantic_points
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Calibration, Camera, Frame, Measurement, Modality, Segmentation

CAMERA = Camera(64, 48, 50.0, 50.0, 31.5, 23.5)
LABELS = np.repeat(np.array([3, 9], np.uint8), 32)[None].repeat(48, 0)
"""Class 3 in the left half, 9 in the right."""


def result_of(measurement: Measurement, reference: Camera = CAMERA) -> Result:
    confidence = np.full(LABELS.shape, 0.5, np.float32)
    found = Segmentation(LABELS, confidence, {measurement.modality: 1.0})
    frame = Frame.of(measurement, calibration=Calibration(reference))
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


def test_an_overlay_shows_what_the_reference_camera_would_see() -> None:
    """The camera has twice the focal length of the reference: its picture is the middle half."""
    camera = Camera(64, 48, 80.0, 80.0, 31.5, 23.5)
    reference = Camera(64, 48, 40.0, 40.0, 31.5, 23.5)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = 200
    measurement = Measurement(Modality.RGB, 1, picture, camera)
    result = result_of(measurement, reference)
    laid = overlay(result, np.zeros((48, 64, 3), np.uint8), 0.0)
    assert (laid[24, 17:31] < 20).all() and (laid[24, 34:47] > 180).all()
    own = overlay(result_of(measurement, camera), np.zeros((48, 64, 3), np.uint8), 0.0)
    assert np.array_equal(own, picture)
