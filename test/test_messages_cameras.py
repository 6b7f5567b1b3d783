"""CameraInfo and Transform."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from any2seg_ros.messages import (
    camera_from_info,
    info_fields,
    is_rectified,
    rectifying_rotation,
    transform_matrix,
)
from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera, InvalidMeasurement


def info(**change):
    fields = {
        "width": 640,
        "height": 480,
        "k": [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0],
        "d": [0.1, -0.2, 0.001, 0.002, 0.0],
        "distortion_model": "plumb_bob",
    }
    return SimpleNamespace(**{**fields, **change})


def test_a_camera_has_the_size_focal_lengths_centre_and_distortion_of_its_info():
    camera = camera_from_info(info())
    assert camera == Camera(
        640, 480, 500.0, 510.0, 320.0, 240.0, (0.1, -0.2, 0.001, 0.002, 0.0), "plumb_bob"
    )


def test_names_of_ros_1_are_understood():
    msg = info()
    old = SimpleNamespace(
        width=640, height=480, K=msg.k, D=msg.d, distortion_model=msg.distortion_model
    )
    assert camera_from_info(old) == camera_from_info(msg)


@pytest.mark.parametrize("d", [[], [0.0] * 5])
def test_no_distortion_is_the_same_however_it_is_said(d):
    assert camera_from_info(info(d=d)).distortion == ()
    assert camera_from_info(info(d=d, distortion_model="")).model == "plumb_bob"


def test_a_fisheye_without_coefficients_is_still_a_fisheye():
    camera = camera_from_info(info(d=[0.0] * 4, distortion_model="fisheye"))
    assert (camera.model, camera.distortion) == ("equidistant", ())


def test_region_of_interest_and_binning_move_the_raster():
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=300)
    camera = camera_from_info(info(roi=roi, binning_x=2, binning_y=2))
    assert (camera.width, camera.height) == (200, 150)
    assert camera.fx == 250.0
    # The pixel centre at 220 of the window is in the pixel 110 of the binned one, a quarter before
    # its centre.
    assert camera.cx == pytest.approx((220 + 0.5) / 2 - 0.5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"k": [1.0] * 4}, "not calibrated"),
        ({"k": [float("nan")] * 9}, "not calibrated"),
        ({"width": 0}, "absurd size"),
        ({"width": 16384, "height": 16384}, "absurd size"),
        ({"binning_x": 100_000}, "absurd size"),
        (
            {
                "width": 0,
                "height": 0,
                "roi": SimpleNamespace(width=4_000_000_000, height=9, x_offset=0, y_offset=0),
            },
            "absurd",
        ),
        ({"distortion_model": "banana"}, "unknown distortion model"),
        ({"d": [0.1] * 9}, "more coefficients"),
        ({"d": [0.0] * 1_000_000}, "has 1000000 numbers in D"),
        ({"d": [float("inf")] * 5}, "not finite"),
    ],
)
def test_an_info_without_a_usable_calibration_is_unusable(change, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        camera_from_info(info(**change))


def test_a_camera_comes_back_from_its_own_info():
    camera = camera_from_info(info())
    assert camera_from_info(SimpleNamespace(**info_fields(camera))) == camera
    msgs = pytest.importorskip("sensor_msgs.msg")
    assert camera_from_info(msgs.CameraInfo(**info_fields(camera))) == camera


def test_a_transform_maps_points_of_the_child_to_the_parent():
    half = np.sqrt(0.5)
    msg = SimpleNamespace(
        translation=SimpleNamespace(x=1.0, y=2.0, z=3.0),
        rotation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half),
    )
    # A quarter turn to the left about z, then the shift.
    np.testing.assert_allclose(
        transform_matrix(msg) @ [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 3.0, 1.0], atol=1e-12
    )


def test_a_rotation_of_no_length_is_refused():
    zero = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=0.0)
    with pytest.raises(ValueError, match="quaternion"):
        transform_matrix(SimpleNamespace(translation=zero, rotation=zero))


@pytest.mark.parametrize("focal", [1e-9, 0.6, 1e7])
def test_an_absurd_focal_length_is_refused(focal):
    k = [focal, 0.0, 320.0, 0.0, focal, 240.0, 0.0, 0.0, 1.0]
    with pytest.raises(InvalidMeasurement, match="absurd focal length"):
        camera_from_info(info(k=k))


@pytest.mark.parametrize(
    "roi",
    [(600, 300, 640, 480), (1, 0, 640, 480), (0, 1, 640, 480), (0, 0, 641, 100), (639, 479, 2, 1)],
)
def test_a_region_that_ends_outside_its_sensor_is_refused_with_the_reason(roi):
    x, y, width, height = roi
    region = SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height)
    reason = f"region of {width}x{height} at {x}, {y} that ends outside its sensor of 640x480"
    for rectified in (False, True):
        with pytest.raises(InvalidMeasurement, match=reason):
            camera_from_info(info(roi=region, p=P), rectified)


@pytest.mark.parametrize("roi", [(0, 0, 640, 480), (600, 300, 40, 180), (0, 0, 0, 0)])
def test_a_region_that_reaches_the_edge_is_right(roi):
    x, y, width, height = roi
    region = SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height)
    camera = camera_from_info(info(roi=region))
    assert (camera.width, camera.height) == ((width, height) if width else (640, 480))
    assert (camera.cx, camera.cy) == (320.0 - x, 240.0 - y)


def test_binning_of_a_region_that_it_does_not_divide_keeps_its_focal_length():
    region = SimpleNamespace(x_offset=100, y_offset=40, width=401, height=301)
    camera = camera_from_info(info(roi=region, binning_x=2, binning_y=2))
    assert (camera.width, camera.height, camera.fx) == (200, 150, 250.0)
    assert camera.cx == (220 + 0.5) / 2 - 0.5


P = [410.0, 0.0, 330.0, -51.0, 0.0, 420.0, 236.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_a_rectified_image_has_the_geometry_of_p_and_no_distortion():
    assert camera_from_info(info(p=P), True) == Camera(640, 480, 410.0, 420.0, 330.0, 236.0)
    old = info(P=P)
    assert camera_from_info(old, True) == camera_from_info(info(p=P), True)
    assert camera_from_info(info(p=P)) == camera_from_info(info())


def test_binning_and_region_count_for_the_rectified_image_too():
    region = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=300)
    camera = camera_from_info(info(p=P, roi=region, binning_x=2, binning_y=2), True)
    assert (camera.width, camera.height, camera.fx, camera.fy) == (200, 150, 205.0, 210.0)
    assert camera.cx == (230 + 0.5) / 2 - 0.5


@pytest.mark.parametrize("p", [[0.0] * 12, [], [float("nan")] * 12])
def test_a_rectified_image_without_p_is_refused_with_what_to_do(p):
    with pytest.raises(InvalidMeasurement, match="P of its camera_info has no focal length"):
        camera_from_info(info(p=p), True)


@pytest.mark.parametrize(
    ("topic", "setting", "p", "d", "expected"),
    [
        ("/camera/image_rect", "auto", P, [0.1], True),
        ("/camera/image_rect_color/compressed", "auto", P, [0.1], True),
        ("/zed/rgb/color/rect/image", "auto", P, [], True),
        ("/front/rectified/image", "auto", P, [0.1], True),
        ("/camera/image_rect", "auto", [0.0] * 12, [], False),
        ("/camera/image_rect", "auto", [0.0] * 12, [0.1], True),
        ("/camera/image_raw", "auto", P, [0.1], False),
        ("/camera/image_unrect", "auto", P, [0.1], False),
        ("/direct/rectangle/image", "auto", P, [0.1], False),
        ("/camera/image_raw", "yes", P, [0.1], True),
        ("/camera/image_rect", "no", P, [0.1], False),
    ],
)
def test_a_topic_is_rectified_by_its_name_or_the_parameter(topic, setting, p, d, expected):
    assert is_rectified(topic, info(p=p, d=d), setting) is expected


def test_points_are_where_the_rectified_image_shows_them():
    k = np.array([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]])
    d = [-0.33, 0.11, 0.0005, -0.0003, -0.017]
    new, _ = cv2.getOptimalNewCameraMatrix(k, np.array(d), (1280, 720), 0)
    p = np.column_stack([new, np.zeros(3)])
    msg = info(width=1280, height=720, k=k.ravel(), d=d, p=p.ravel())
    rng = np.random.default_rng(0)
    z = rng.uniform(5, 40, 2000)
    points = np.stack([rng.uniform(-0.8, 0.8, 2000) * z, rng.uniform(-0.4, 0.4, 2000) * z, z], 1)
    camera = camera_from_info(msg, is_rectified("/camera/image_rect", msg))
    x, y, z = points.T.astype(np.float32)
    index, pixel = camera_models.project(x, y, z, camera)
    seen = points[index] @ new.T
    error = np.hypot(
        pixel % 1280 - seen[:, 0] / seen[:, 2], pixel // 1280 - seen[:, 1] / seen[:, 2]
    )
    assert len(index) > 1000 and error.max() < 0.72


def test_the_rotation_of_a_stereo_pair_is_that_of_r():
    turn = cv2.Rodrigues(np.array([0.02, -0.01, 0.005]))[0]
    np.testing.assert_allclose(rectifying_rotation(info(r=turn.ravel()))[:3, :3], turn)
    for r in ([], [0.0] * 9, [float("nan")] * 9):
        np.testing.assert_array_equal(rectifying_rotation(info(r=r)), np.eye(4))
