"""sensor_msgs/CameraInfo to Camera and back, and geometry_msgs/Transform to a matrix."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from any2seg_ros.messages.sizes import check_area
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.types import Camera, InvalidMeasurement, plain

_COEFFICIENTS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
_ALIKE = {
    "radtan": "plumb_bob",
    "brown_conrady": "plumb_bob",
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
    "kannala_brandt4": "equidistant",
}
_INSTEAD = "calibrate anew, or use the rectified image (image_rect), whose geometry is P"
_NUMBERS = 64
"""Numbers of a field of CameraInfo at most: no distortion model has more than 14."""
_RECTIFIED = re.compile(r"(^|[/_])rect(ified)?([/_]|$)")


def is_rectified(topic: str, msg: Any, setting: str = "auto") -> bool:
    """Whether the images of a topic are rectified: `setting` is yes, no or auto.

    By auto, where the topic's name says so (image_rect, rect/image) and its CameraInfo has a P to
    go by, or a D that would be wrong. image_pipeline publishes no CameraInfo but that of the raw
    image, so that K and D alone say nothing about it.
    """
    if setting != "auto":
        return setting == "yes"
    if not _RECTIFIED.search(topic.lower()):
        return False
    return _projection(msg) is not None or any(_array(msg, "d"))


def camera_from_info(msg: Any, rectified: bool = False) -> Camera:
    """The geometry of the raw image that a sensor_msgs/CameraInfo belongs to.

    `rectified`: of its rectified image instead, which P describes, and no distortion.
    Takes ROS 2's k, d and p as well as ROS 1's K, D and P. They are those of the full sensor: a
    region of interest and binning are applied. InvalidMeasurement
    without calibration, for unknown models and for regions that end outside their sensor.
    """
    coefficients: tuple[float, ...]
    if rectified:
        k, model, coefficients = _rectified_matrix(msg), "plumb_bob", ()
    else:
        k = _array(msg, "k")
        if len(k) != 9 or not np.isfinite(k).all() or not (k[0] > 0 and k[4] > 0):
            raise InvalidMeasurement("camera_info is not calibrated: its K has no focal length")
        model, coefficients = _distortion(str(msg.distortion_model), tuple(_array(msg, "d")))
    fx, fy, cx, cy = (float(x) for x in (k[0], k[4], k[2], k[5]))
    x, y, width, height = _region(msg)
    for focal, length in ((fx, width), (fy, height)):
        if length and not 0.01 < focal / length < 1000:
            raise InvalidMeasurement(
                f"camera_info has an absurd focal length: {focal:g} for {length} px"
            )
    across = max(1, int(getattr(msg, "binning_x", 0)))
    down = max(1, int(getattr(msg, "binning_y", 0)))
    check_area("camera_info", width // across, height // down)
    return Camera(
        width // across,
        height // down,
        fx / across,
        fy / down,
        _binned(cx - x, across),
        _binned(cy - y, down),
        coefficients,
        model,
    )


def _binned(centre: float, factor: int) -> float:
    """Pixel centres are at whole numbers."""
    return centre if factor == 1 else (centre + 0.5) / factor - 0.5


def rectified_note(topic: str, sensor: str, setting: str) -> str:
    """What the log says of rectified images."""
    return (
        f"{topic} is rectified: its geometry is P of its camera_info, without distortion "
        f"({sensor}.rectified: {setting})"
    )


def rectifying_rotation(msg: Any) -> np.ndarray:
    """float64 (4, 4), from the frame of a CameraInfo's camera to that of its rectified image.

    The identity for a camera that is alone; R aligns the two cameras of a stereo pair.
    """
    r = _array(msg, "r")
    turned = np.eye(4)
    if len(r) == 9 and np.isfinite(r).all():
        rotation = r.reshape(3, 3)
        if np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
            turned[:3, :3] = rotation
    return turned


def _array(msg: Any, name: str) -> np.ndarray:
    """A field of CameraInfo by its name in ROS 2 or 1, float64 (n,); InvalidMeasurement."""
    found = getattr(msg, name) if hasattr(msg, name) else getattr(msg, name.upper())
    if len(found) > _NUMBERS:
        raise InvalidMeasurement(f"camera_info has {len(found)} numbers in {name.upper()}")
    return np.asarray(found, np.float64).reshape(-1)


def _projection(msg: Any) -> np.ndarray | None:
    """The first three columns of P, float64 (9,), if it is calibrated."""
    p = _array(msg, "p")
    if len(p) != 12 or not np.isfinite(p).all() or not (p[0] > 0 and p[5] > 0):
        return None
    return p.reshape(3, 4)[:, :3].reshape(-1)


def _rectified_matrix(msg: Any) -> np.ndarray:
    k = _projection(msg)
    if k is None:
        raise InvalidMeasurement(
            "the image is rectified, but the P of its camera_info has no focal length: use the raw "
            "image, or set rectified to no"
        )
    return k


def _region(msg: Any) -> tuple[int, int, int, int]:
    """x, y, width and height of the part of the sensor that the image shows, before binning."""
    width, height = int(msg.width), int(msg.height)
    roi = getattr(msg, "roi", None)
    if roi is None or not (roi.width and roi.height):
        return 0, 0, width, height
    x, y, wide, high = (int(v) for v in (roi.x_offset, roi.y_offset, roi.width, roi.height))
    if (width and x + wide > width) or (height and y + high > height):
        raise InvalidMeasurement(
            f"camera_info has a region of {wide}x{high} at {x}, {y} that ends outside its sensor "
            f"of {width}x{height}: width, height and K must be those of the whole sensor (REP 104)"
        )
    return x, y, wide, high


def _distortion(name: str, d: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    if not all(np.isfinite(d)):
        raise InvalidMeasurement("camera_info has a distortion that is not finite")
    lower = name.strip().lower()
    model = _ALIKE.get(lower, lower)
    known = model in _COEFFICIENTS
    if not any(d) and (not known or model != "equidistant"):
        return "plumb_bob", ()
    if not known:
        models = ", ".join(_COEFFICIENTS)
        raise InvalidMeasurement(
            f"unknown distortion model '{plain(name)}': known are {models}; {_INSTEAD}"
        )
    count = _COEFFICIENTS[model]
    if any(d[count:]):
        raise InvalidMeasurement(
            f"camera_info has more coefficients than {model}: {len(d)}; {_INSTEAD}"
        )
    return model, tuple(float(x) for x in d[:count]) if any(d) else ()


def info_fields(camera: Camera) -> dict[str, Any]:
    """The fields of a sensor_msgs/CameraInfo but its header, as plain Python values."""
    fx, fy, cx, cy = (float(x) for x in (camera.fx, camera.fy, camera.cx, camera.cy))
    return {
        "height": int(camera.height),
        "width": int(camera.width),
        "distortion_model": camera.model,
        "d": [float(x) for x in camera.distortion] or [0.0] * 5,
        "k": [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        "r": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "p": [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def transform_matrix(msg: Any) -> np.ndarray:
    """A geometry_msgs/Transform as float64 (4, 4): child frame to parent frame."""
    t, q = msg.translation, msg.rotation
    return transform((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
