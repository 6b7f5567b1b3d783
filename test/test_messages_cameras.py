"""CameraInfo and Transform."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.messages import camera_from_info, info_fields, transform_matrix
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
        ({"roi": SimpleNamespace(width=4_000_000_000, height=9, x_offset=0, y_offset=0)}, "absurd"),
        ({"distortion_model": "banana"}, "unknown distortion model"),
        ({"d": [0.1] * 9}, "more coefficients"),
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
