"""Projection and its inverse, against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera

PINHOLE = Camera(320, 180, 200.0, 205.0, 161.0, 89.0)
BARREL = Camera(320, 180, 200.0, 205.0, 161.0, 89.0, (-0.33, 0.11, 0.002, -0.001, -0.01))
RATIONAL = Camera(
    320,
    180,
    200.0,
    205.0,
    161.0,
    89.0,
    (0.2, -0.1, 0.001, 0.002, 0.02, 0.35, -0.08, 0.01),
    "rational_polynomial",
)
FISHEYE = Camera(320, 180, 150.0, 151.0, 161.0, 89.0, (-0.02, 0.008, -0.003, 0.0004), "equidistant")
CAMERAS = pytest.mark.parametrize(
    "camera", [PINHOLE, BARREL, RATIONAL, FISHEYE], ids=["pinhole", "barrel", "rational", "fisheye"]
)


def by_opencv(points, camera):
    points = np.asarray(points, np.float64).reshape(-1, 1, 3)
    zero = np.zeros(3)
    if camera.model == "equidistant":
        d = np.array(camera.distortion or (0.0,) * 4)
        return cv2.fisheye.projectPoints(points, zero, zero, camera.matrix, d)[0].reshape(-1, 2)
    d = np.array(camera.distortion or (0.0,) * 5)
    return cv2.projectPoints(points, zero, zero, camera.matrix, d)[0].reshape(-1, 2)


@CAMERAS
def test_rays_of_all_pixels_are_projected_by_opencv_to_their_pixels(camera):
    a, b = camera_models.rays(camera).reshape(2, -1)
    assert np.isfinite(a).all()
    v, u = np.divmod(np.arange(len(a)), camera.width)
    projected = by_opencv(np.stack([a, b, np.ones_like(a)], 1), camera)
    assert np.abs(projected - np.stack([u, v], 1)).max() < 1e-3


@CAMERAS
def test_points_fall_on_the_pixels_where_opencv_projects_them(camera):
    random = np.random.default_rng(1)
    directions = random.uniform(-0.85, 0.85, (4000, 2)) * [camera.width, camera.height]
    directions /= 2 * np.array([camera.fx, camera.fy])
    z = random.uniform(0.5, 60.0, 4000)
    points = np.column_stack([directions * z[:, None], z]).astype(np.float32)
    index, pixel = camera_models.project(*points.T, camera)
    expected = by_opencv(points, camera)
    u, v = np.round(expected).astype(int).T
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    # Rounding may differ where a point falls between two pixels.
    clear = (np.abs(expected - np.floor(expected) - 0.5) > 1e-3).all(1)
    seen = np.zeros(len(points), bool)
    seen[index] = True
    np.testing.assert_array_equal(seen[clear], inside[clear])
    found = np.full(len(points), -1)
    found[index] = pixel
    both = clear & inside
    assert both.sum() > 1000
    np.testing.assert_array_equal(found[both], (v * camera.width + u)[both])


@CAMERAS
def test_points_behind_or_nowhere_are_not_seen(camera):
    points = np.array(
        [[0, 0, -5], [0.1, 0.1, -1], [0, 0, 0], [np.nan, 0, 5], [0, np.inf, 5], [0, 0, np.nan]],
        np.float32,
    )
    assert len(camera_models.project(*points.T, camera)[0]) == 0


def test_points_from_far_beside_are_not_folded_into_the_image():
    # At 72 degrees this polynomial has turned round: OpenCV puts the point into the image.
    point = np.array([[3.0, 0.0, 1.0]], np.float32)
    folding = Camera(320, 180, 200.0, 205.0, 161.0, 89.0, (-0.3, 0.022, 0.0, 0.0, 0.0))
    u, v = by_opencv(point, folding)[0]
    assert 0 <= u < 320 and 0 <= v < 180
    assert len(camera_models.project(*point.T, folding)[0]) == 0


@settings(max_examples=100, deadline=None)
@given(
    k1=st.floats(-0.5, 0.5),
    k2=st.floats(-0.3, 0.3),
    k3=st.floats(-0.1, 0.1),
    angle=st.floats(0, 2 * np.pi),
)
def test_a_ray_farther_out_is_never_seen_farther_in(k1, k2, k3, angle):
    camera = Camera(320, 180, 100.0, 100.0, 160.0, 90.0, (k1, k2, 0.0, 0.0, k3))
    r = np.tan(np.linspace(0.01, 1.55, 200)).astype(np.float32)
    x, y = r * np.float32(np.cos(angle)), r * np.float32(np.sin(angle))
    index, pixel = camera_models.project(x, y, np.ones_like(r), camera)
    v, u = np.divmod(pixel, 320)
    # Nothing is seen beyond the first ray that is not: it would be a fold.
    assert index.tolist() == list(range(len(index)))
    assert (np.diff(np.hypot(u - 160.0, v - 90.0)) > -1.5).all()


def test_a_transform_is_the_rotation_of_its_quaternion_and_the_shift():
    rotation = cv2.Rodrigues(np.array([0.3, -0.2, 0.5]))[0]
    angle = np.linalg.norm([0.3, -0.2, 0.5])
    axis = np.array([0.3, -0.2, 0.5]) / angle
    quaternion = (*(axis * np.sin(angle / 2)), np.cos(angle / 2))
    matrix = camera_models.transform((1, 2, 3), tuple(7 * q for q in quaternion))
    np.testing.assert_allclose(matrix[:3, :3], rotation, atol=1e-12)
    assert matrix[:3, 3].tolist() == [1, 2, 3]


def test_a_camera_resized_has_the_same_view():
    assert camera_models.same_view(BARREL, BARREL.resized(640, 360))
    assert not camera_models.same_view(BARREL, PINHOLE)
    moved = Camera(320, 180, 200.0, 205.0, 170.0, 89.0)
    assert not camera_models.same_view(PINHOLE, moved)


@CAMERAS
def test_a_lookup_of_a_camera_in_itself_is_every_pixel(camera):
    table = camera_models.lookup(camera, camera, np.eye(4))
    np.testing.assert_array_equal(table, np.arange(320 * 180))


@CAMERAS
def test_lookup_and_warp_agree_about_a_turned_camera(camera):
    view = PINHOLE
    matrix = camera_models.transform((0, 0, 0), (0.02, 0.05, -0.03, 1.0))
    u, v = camera_models.warp(view, camera, matrix)
    table = camera_models.lookup(view, camera, matrix)
    checked = 0
    for y, x in np.random.default_rng(0).integers(0, (180, 320), (500, 2)):
        if u[y, x] < 0 or v[y, x] < 0:
            continue
        pixel = int(v[y, x] + 0.5) * 320 + int(u[y, x] + 0.5)
        back = table[min(pixel, len(table) - 1)]
        if back == len(table):
            continue
        by, bx = divmod(int(back), 320)
        assert abs(by - y) <= 3 and abs(bx - x) <= 3
        checked += 1
    assert checked > 200


def test_an_unknown_model_and_too_many_coefficients_are_refused():
    with pytest.raises(ValueError, match="plumb_bob"):
        camera_models.rays(Camera(4, 4, 1.0, 1.0, 2.0, 2.0, (0.1,), "banana"))
    with pytest.raises(ValueError, match="at most 5"):
        camera_models.rays(Camera(4, 4, 1.0, 1.0, 2.0, 2.0, (0.1,) * 6))


def test_pixels_that_the_distortion_does_not_reach_have_no_ray():
    # This barrel turns round inside the corners of its image.
    strong = Camera(320, 180, 120.0, 120.0, 160.0, 90.0, (-0.3, 0.02, 0.001, 0.001, 0.0))
    a, b = camera_models.rays(strong)
    assert np.isnan(a[0, 0]) and np.isnan(b[179, 319])
    assert np.isfinite(a[60:120, 100:220]).all()
    found = np.isfinite(a)
    projected = by_opencv(np.stack([a[found], b[found], np.ones(found.sum())], 1), strong)
    v, u = np.nonzero(found)
    close = np.abs(projected - np.stack([u, v], 1)).max(1)
    assert np.quantile(close, 0.99) < 1e-2


@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial", "equidistant"])
@pytest.mark.parametrize("wild", [1e300, -1e300, 1e39])
def test_coefficients_that_are_none_see_less_without_a_warning(model, wild):
    camera = Camera(64, 48, 50.0, 50.0, 31.5, 23.5, (wild, wild, wild, wild), model)
    points = np.array([[1.0, 1.0, 2.0], [0.5, -0.2, 5.0]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        camera_models.field_of_view(camera)
        camera_models.pixels(points[:, 0] / points[:, 2], points[:, 1] / points[:, 2], camera)
