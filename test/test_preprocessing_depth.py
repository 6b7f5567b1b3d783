"""Depth images to modality images."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.preprocessing.camera_models import rays, transform
from any2seg_ros.preprocessing.depth import depth_in_view, preprocess_depth
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.types import Camera, InvalidMeasurement, Measurement, Modality

REFERENCE = Camera(640, 360, 400.0, 400.0, 319.5, 179.5)
VIEW = REFERENCE.resized(160, 90)
SCALE = RangeScale()


def measured(data, camera=None, matrix=None):
    matrix = np.eye(4) if matrix is None else matrix
    return Measurement(Modality.DEPTH, 1, data, camera, matrix)


def dense(measurement, view=VIEW):
    depth = depth_in_view(measurement, view)
    assert depth.shape == (view.height, view.width) and depth.dtype == np.float32
    return np.where(depth < np.inf, depth, 0)


def test_millimetres_and_metres_give_the_same_image():
    depth = np.random.default_rng(0).integers(0, 60000, (360, 640)).astype(np.uint16)
    metres = depth.astype(np.float32) / 1000
    a, b = (preprocess_depth(measured(d, REFERENCE), VIEW, SCALE) for d in (depth, metres))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_registered_depth_is_taken_from_under_the_pixels_of_the_view():
    depth = np.random.default_rng(0).integers(1, 60000, (360, 640)).astype(np.uint16)
    found = dense(measured(depth))
    np.testing.assert_allclose(found, depth[2::4, 2::4] * np.float32(0.001))


@pytest.mark.parametrize("hole", [0.0, np.nan, np.inf, -np.inf, -1.0])
def test_holes_are_zero_in_every_channel(hole):
    depth = np.full((360, 640), 5.0, np.float32)
    depth[:, :320] = hole
    image = preprocess_depth(measured(depth), VIEW, SCALE)
    assert not image[:, :, :80].any()
    assert (image[:2, :, 80:] > 0).all()


def test_65535_millimetres_are_a_hole():
    depth = np.full((360, 640), 5000, np.uint16)
    depth[:, :320] = 65535
    image = preprocess_depth(measured(depth), VIEW, SCALE)
    assert not image[:, :, :80].any()
    assert (image[:2, :, 80:] > 0).all()


def test_channels_are_closeness_inverse_depth_and_height():
    image = preprocess_depth(measured(np.full((360, 640), 10.0, np.float32)), VIEW, SCALE)
    np.testing.assert_allclose(image[0], 0.5, atol=1e-6)
    np.testing.assert_allclose(image[1], 0.1, atol=1e-6)
    above = -(np.arange(90) - VIEW.cy) / VIEW.fy * 10.0
    np.testing.assert_allclose(image[2, :, 7], np.clip((above + 3) / 10, 0, 1), atol=1e-5)


def test_heights_respect_the_lens():
    bent = Camera(640, 360, 400.0, 400.0, 319.5, 179.5, (-0.3, 0.1, 0.0, 0.0, 0.0))
    flat = preprocess_depth(measured(np.full((360, 640), 4.0, np.float32)), VIEW, SCALE)
    image = preprocess_depth(
        measured(np.full((360, 640), 4.0, np.float32)), bent.resized(160, 90), SCALE
    )
    # Behind a barrel lens the upper rim of the image looks higher up.
    assert image[2, 0, 80] > flat[2, 0, 80] + 0.005
    np.testing.assert_allclose(image[2, 45], flat[2, 45], atol=0.01)


def test_depth_of_another_camera_is_where_its_points_are_projected():
    camera = Camera(480, 360, 380.0, 380.0, 239.5, 179.5, (0.05, -0.02, 0.001, 0.0, 0.0))
    matrix = transform((0.2, -0.1, 0.05), (0.01, -0.02, 0.005, 1.0))
    # A wall: n . p = 6 m in the reference camera's frame, seen from the depth camera.
    normal = np.array([0.1, 0.05, 1.0])
    a, b = rays(camera).astype(np.float64)
    directions = np.stack([a, b, np.ones_like(a)], -1) @ matrix[:3, :3].T
    depth = ((6.0 - normal @ matrix[:3, 3]) / (directions @ normal)).astype(np.float32)
    found = dense(measured(depth, camera, matrix))
    va, vb = rays(VIEW)
    expected = 6.0 / (normal[0] * va + normal[1] * vb + normal[2])
    inner = found[15:-15, 30:-30]
    assert (inner > 0).mean() > 0.97
    seen = found > 0
    np.testing.assert_allclose(found[seen], expected[seen], rtol=0.01)


def test_of_two_things_on_one_pixel_the_nearer_is_seen():
    # From 1 m beside, a post at 2 m and the wall behind it come to lie on the same pixels.
    depth = np.full((360, 640), 20.0, np.float32)
    depth[:, 100:140] = 2.0
    matrix = np.eye(4)
    matrix[0, 3] = 1.0
    found = dense(measured(depth, REFERENCE, matrix))
    left = (100 - 319.5) / 400 * 2.0 + 1.0
    column = int(round((left + 0.05) / 2.0 * VIEW.fx + VIEW.cx)) + 1
    assert (found[:, column] == 2.0).all()
    assert (found[:, column + 20] == 20.0).all()


def test_a_coarse_depth_camera_covers_the_view():
    camera = Camera(80, 45, 50.0, 50.0, 39.5, 22.0)
    matrix = np.eye(4)
    matrix[0, 3] = 0.01
    found = dense(measured(np.full((45, 80), 5.0, np.float32), camera, matrix))
    assert (found[5:-5, 5:-5] > 0).mean() > 0.98


@pytest.mark.parametrize(
    ("data", "camera", "reason"),
    [
        (np.zeros((360, 640), np.uint16), None, "no valid pixels"),
        (np.full((360, 640), np.nan, np.float32), REFERENCE, "no valid pixels"),
        (np.ones((90, 160), np.float32), REFERENCE, "another size"),
        (np.ones((360, 640), np.float64), None, "neither uint16"),
        (np.ones((4, 4, 2), np.float32), None, "one channel"),
        (np.ones((0, 4), np.float32), None, "one channel"),
    ],
)
def test_what_is_no_depth_is_unusable(data, camera, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        preprocess_depth(measured(data, camera), VIEW, SCALE)


def test_depth_that_looks_the_other_way_is_unusable():
    behind = transform((0, 0, 0), (0, 1, 0, 0))
    with pytest.raises(InvalidMeasurement, match="in view"):
        preprocess_depth(measured(np.ones((360, 640), np.float32), REFERENCE, behind), VIEW, SCALE)


def test_a_fine_image_is_moved_without_a_shift():
    camera = REFERENCE.resized(1280, 720)
    matrix = np.eye(4)
    matrix[0, 3] = 1e-5
    ramp = np.broadcast_to((4 + 0.01 * np.arange(1280)).astype(np.float32), (720, 1280))
    found = dense(measured(ramp, camera, matrix))
    expected = 4 + 0.01 * ((np.arange(160) + 0.5) * 8 - 0.5)
    seen = found > 0
    assert seen.mean() > 0.95
    assert abs((found - expected)[seen].mean()) < 0.02
