"""sensor_msgs/CameraInfo to Camera and back, and geometry_msgs/Transform to a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from any2seg_ros.messages.sizes import check_area
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.types import Camera, InvalidMeasurement

_MODELS = {
    "plumb_bob": ("plumb_bob", 5),
    "radtan": ("plumb_bob", 5),
    "rational_polynomial": ("rational_polynomial", 8),
    "equidistant": ("equidistant", 4),
    "fisheye": ("equidistant", 4),
    "kannala_brandt": ("equidistant", 4),
}


def camera_from_info(msg: Any) -> Camera:
    """The geometry of the raw image that a sensor_msgs/CameraInfo belongs to.

    Takes ROS 2's k and d as well as ROS 1's K and D. K and D are those of the full sensor: a region
    of interest and binning are applied. InvalidMeasurement
    without calibration and for unknown models.
    """
    k = np.asarray(msg.k if hasattr(msg, "k") else msg.K, np.float64).reshape(-1)
    d = tuple(float(x) for x in (msg.d if hasattr(msg, "d") else msg.D))
    width, height = int(msg.width), int(msg.height)
    if len(k) != 9 or not np.isfinite(k).all() or not (k[0] > 0 and k[4] > 0):
        raise InvalidMeasurement("camera_info is not calibrated: its K has no focal length")
    model, coefficients = _distortion(str(msg.distortion_model), d)
    fx, fy, cx, cy = (float(x) for x in (k[0], k[4], k[2], k[5]))
    roi = getattr(msg, "roi", None)
    if roi is not None and roi.width and roi.height:
        width, height = int(roi.width), int(roi.height)
        cx, cy = cx - int(roi.x_offset), cy - int(roi.y_offset)
    for focal, length in ((fx, width), (fy, height)):
        if length and not 0.01 < focal / length < 1000:
            raise InvalidMeasurement(
                f"camera_info has an absurd focal length: {focal:g} for {length} px"
            )
    camera = Camera(width, height, fx, fy, cx, cy, coefficients, model)
    across = max(1, int(getattr(msg, "binning_x", 0)))
    down = max(1, int(getattr(msg, "binning_y", 0)))
    wide, high = width // across, height // down
    check_area("camera_info", wide, high)
    return camera if across == down == 1 else camera.resized(wide, high)


def _distortion(name: str, d: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    if not all(np.isfinite(d)):
        raise InvalidMeasurement("camera_info has a distortion that is not finite")
    known = name.strip().lower() in _MODELS
    if not any(d) and (not known or _MODELS[name.strip().lower()][0] != "equidistant"):
        return "plumb_bob", ()
    if not known:
        raise InvalidMeasurement(f"unknown distortion model '{name}'")
    model, count = _MODELS[name.strip().lower()]
    if any(d[count:]):
        raise InvalidMeasurement(f"camera_info has more coefficients than {model}: {len(d)}")
    return model, d[:count] if any(d) else ()


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
