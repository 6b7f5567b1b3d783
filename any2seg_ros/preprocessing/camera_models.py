"""Cameras as functions: points to pixels, pixels to rays, and maps between two rasters.

Distortion follows sensor_msgs/CameraInfo and OpenCV's calib3d: plumb_bob (k1 k2 p1 p2 k3),
rational_polynomial (k1 k2 p1 p2 k3 k4 k5 k6) and equidistant (k1 k2 k3 k4, Kannala-Brandt).

A distortion polynomial is only meant for the image it was fitted on: farther out it turns round
and folds points from beside the camera back into the image. Every camera therefore has a field of
view, the cone in which its distortion grows and still reaches the image; points outside are not
seen. The cone ends at 89 degrees: fisheye images are used up to half a sphere.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from any2seg_ros.types import Camera

_WIDEST = np.deg2rad(89.0)
_STEPS = 8192
_MODELS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}


def transform(translation: tuple[float, ...], quaternion: tuple[float, ...]) -> np.ndarray:
    """The rigid motion of a translation (x, y, z in m) and a quaternion (x, y, z, w).

    float64 (4, 4), maps points of the child frame to the parent's, as TF means it. ValueError for
    a quaternion of no length.
    """
    x, y, z, w = (float(q) for q in quaternion)
    norm = np.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 1e-9:
        raise ValueError("a rotation needs a quaternion with a length: (0, 0, 0, 1) is none at all")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def same_view(a: Camera, b: Camera) -> bool:
    """Whether both rasters show the same rays, apart from their number of pixels."""
    if a == b:
        return True
    c = a.resized(b.width, b.height)
    near = max(abs(c.fx - b.fx), abs(c.fy - b.fy), abs(c.cx - b.cx), abs(c.cy - b.cy)) < 0.05
    return near and _coefficients(a) == _coefficients(b)


def same_place(reference_from_sensor: np.ndarray) -> bool:
    """Whether the sensor stands where the reference camera stands, and looks where it looks."""
    return bool(np.abs(reference_from_sensor - np.eye(4)).max() < 1e-6)


def _coefficients(camera: Camera) -> tuple[str, tuple[float, ...]]:
    if camera.model not in _MODELS:
        known = ", ".join(_MODELS)
        raise ValueError(f"unknown distortion model '{camera.model}': use one of {known}")
    count = _MODELS[camera.model]
    given = tuple(float(k) for k in camera.distortion)
    if any(given[count:]):
        raise ValueError(f"{camera.model} has at most {count} coefficients, not {len(given)}")
    padded = (given + (0.0,) * count)[:count]
    if camera.model != "equidistant" and not any(padded):
        return "pinhole", ()
    if camera.model == "plumb_bob":
        return "rational_polynomial", padded + (0.0, 0.0, 0.0)
    return camera.model, padded


def _radial(r: np.ndarray, model: str, k: tuple[float, ...]) -> np.ndarray:
    """Distance from the centre after radial distortion, for undistorted distances r (z = 1)."""
    if model == "pinhole":
        return r
    if model == "equidistant":
        t = np.arctan(r)
        s = t * t
        return t * (1 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))))
    s = r * r
    up = 1 + s * (k[0] + s * (k[1] + s * k[4]))
    return r * up / (1 + s * (k[5] + s * (k[6] + s * k[7])))


@lru_cache(maxsize=32)
def _growth(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Undistorted and distorted distances from the centre, as far as the field of view goes."""
    model, k = _coefficients(camera)
    corners_x = (np.array([-0.5, camera.width - 0.5]) - camera.cx) / camera.fx
    corners_y = (np.array([-0.5, camera.height - 0.5]) - camera.cy) / camera.fy
    corner = float(np.hypot(np.abs(corners_x).max(), np.abs(corners_y).max()))
    if model == "rational_polynomial":
        corner += 2 * (abs(k[2]) + abs(k[3])) * 3 * corner * corner
    r = np.tan(np.linspace(0.0, _WIDEST, 20001))
    with np.errstate(all="ignore"):
        grown = _radial(r, model, k)
    falls = np.flatnonzero(~(np.diff(grown) > 0))
    end = len(r) if len(falls) == 0 else int(falls[0]) + 1
    end = min(end, int(np.searchsorted(grown[:end], corner)) + 2)
    return r[:end], grown[:end]


def field_of_view(camera: Camera) -> float:
    """Tangent of the angle from the optical axis up to which the camera can see a point."""
    return float(_growth(camera)[0][-1])


def image_radius(camera: Camera) -> float:
    """Pixels from the centre up to which the camera's image can show a ray."""
    return float(_growth(camera)[1][-1]) * min(camera.fx, camera.fy)


def _distort(
    a: np.ndarray, b: np.ndarray, model: str, k: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    if model == "pinhole":
        return a, b
    s = a * a + b * b
    if model == "equidistant":
        r = np.sqrt(s)
        t = np.arctan(r)
        q = t * t
        bent = t * (1 + q * (k[0] + q * (k[1] + q * (k[2] + q * k[3]))))
        scale = np.divide(bent, r, out=np.ones_like(r), where=r > 1e-8)
        return a * scale, b * scale
    scale = 1 + s * (k[0] + s * (k[1] + s * k[4]))
    if k[5] or k[6] or k[7]:
        scale = scale / (1 + s * (k[5] + s * (k[6] + s * k[7])))
    if not (k[2] or k[3]):
        return a * scale, b * scale
    # k2 2ab + k3 (s + 2aa) = a (2 k2 b + 2 k3 a) + k3 s, and alike for b.
    tilt = (2 * k[2]) * b
    tilt += (2 * k[3]) * a
    tilt += scale
    da = a * tilt
    da += k[3] * s
    db = b * tilt
    db += k[2] * s
    return da, db


def pixels(a: np.ndarray, b: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (u, v) of the rays (a, b, 1), which must be in the field of view.

    Equal to OpenCV's projectPoints; the dtype of a and b is kept.
    """
    da, db = _distort(a, b, *_coefficients(camera))
    u = da * camera.fx
    u += camera.cx
    v = db * camera.fy
    v += camera.cy
    return u, v


def project(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera sees points: float32 (n,) each, metres in the camera's optical frame.

    Returns (index, pixel), both intp (m,): which points are in the image and the flat pixel
    v * width + u that each falls on. Points behind the camera, outside its field of view, outside
    the image or without finite coordinates are left out.
    """
    limit = np.float32(field_of_view(camera) ** 2)
    with np.errstate(all="ignore"):
        index = np.flatnonzero((z > 1e-3) & (z < 1e9) & (x * x + y * y <= limit * (z * z)))
    # Taking by index is several times as fast as by a mask.
    over = np.reciprocal(z.take(index))
    a = x.take(index)
    a *= over
    b = y.take(index)
    b *= over
    u, v = pixels(a, b, camera)
    u += 0.5
    v += 0.5
    inside = (u > 0.0) & (u < camera.width) & (v > 0.0) & (v < camera.height)
    if not inside.all():
        kept = np.flatnonzero(inside)
        index, u, v = index.take(kept), u.take(kept), v.take(kept)
    pixel = v.astype(np.intp)
    pixel *= camera.width
    pixel += u.astype(np.intp)
    return index, pixel


@lru_cache(maxsize=16)
def rays(camera: Camera) -> np.ndarray:
    """The rays (a, b, 1) of all pixel centres: float32 (2, h, w), read-only.

    NaN where the distortion polynomial has no inverse.
    """
    a = (np.arange(camera.width) - camera.cx) / camera.fx
    b = (np.arange(camera.height) - camera.cy) / camera.fy
    bent = np.stack(
        [
            np.broadcast_to(a, (camera.height, camera.width)),
            np.broadcast_to(b[:, None], (camera.height, camera.width)),
        ]
    )
    model, k = _coefficients(camera)
    straight = bent.astype(np.float32) if model == "pinhole" else _straighten(bent, camera)
    straight.setflags(write=False)
    return straight


def _straighten(bent: np.ndarray, camera: Camera) -> np.ndarray:
    """Inverse of the distortion: a table for its radial part, a few steps for the tangential."""
    model, k = _coefficients(camera)
    tangential = model == "rational_polynomial" and (k[2] != 0.0 or k[3] != 0.0)
    straight = _straighten_radially(bent, camera)
    if not tangential:
        return straight.astype(np.float32)
    only_tangential = (0.0, 0.0, k[2], k[3], 0.0, 0.0, 0.0, 0.0)
    for _ in range(4):
        moved = np.stack(_distort(straight[0], straight[1], model, only_tangential))
        straight = _straighten_radially(bent - (moved - straight), camera)
    return straight.astype(np.float32)


@lru_cache(maxsize=32)
def _inverse(camera: Camera) -> tuple[np.ndarray, float]:
    """Undistorted over distorted distance at even steps of the distorted one, and their number
    for a distance of 1. The last one is NaN: there is no inverse from there on.
    """
    r, grown = _growth(camera)
    even = np.linspace(0.0, grown[-1], _STEPS)
    ratio = np.empty(_STEPS + 1)
    ratio[1:-1] = np.interp(even[1:], grown, r) / even[1:]
    ratio[0], ratio[-1] = 1.0, np.nan
    return ratio, (_STEPS - 1) / grown[-1]


def _straighten_radially(bent: np.ndarray, camera: Camera) -> np.ndarray:
    ratio, steps = _inverse(camera)
    position = np.hypot(bent[0], bent[1])
    position *= steps
    np.fmin(position, _STEPS - 1, out=position)
    below = position.astype(np.int32)
    position -= below
    scale = ratio.take(below)
    scale += position * (ratio.take(below + 1) - scale)
    return bent * scale


def _turned(camera: Camera, rotation: np.ndarray) -> np.ndarray:
    a, b = rays(camera).reshape(2, -1)
    return (rotation @ np.stack([a, b, np.ones_like(a)])).astype(np.float32)


@lru_cache(maxsize=16)
def _warp(view: Camera, camera: Camera, rotation: bytes) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = _turned(view, np.frombuffer(rotation).reshape(3, 3).T)
    index, pixel = project(x, y, z, camera)
    u, v = np.full((2, view.height * view.width), -2.0, np.float32)
    u[index], v[index] = pixels(x[index] / z[index], y[index] / z[index], camera)
    shape = (view.height, view.width)
    return u.reshape(shape), v.reshape(shape)


def warp(
    view: Camera, camera: Camera, reference_from_sensor: np.ndarray, keep: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Maps for cv2.remap that show a camera's image as `view` would see it.

    float32 (h, w) each, in the camera's pixels; -2 where the camera sees nothing. Only the rotation
    is respected: what is looked at is taken to be far away. keep: the same rotation will be asked
    for again.
    """
    rotation = np.ascontiguousarray(reference_from_sensor[:3, :3], np.float64)
    return (_warp if keep else _warp.__wrapped__)(view, camera, rotation.tobytes())


@lru_cache(maxsize=16)
def _lookup(view: Camera, camera: Camera, rotation: bytes) -> np.ndarray:
    x, y, z = _turned(camera, np.frombuffer(rotation).reshape(3, 3))
    index, pixel = project(x, y, z, view)
    table = np.full(camera.height * camera.width, view.height * view.width, np.int32)
    table[index] = pixel
    table.setflags(write=False)
    return table


def lookup(view: Camera, camera: Camera, reference_from_sensor: np.ndarray) -> np.ndarray:
    """For every pixel of `camera` (flat) the flat pixel of `view` that sees the same far point.

    int32 (h * w,), read-only; view.width * view.height where the view does not see it. Only the
    rotation is respected.
    """
    rotation = np.ascontiguousarray(reference_from_sensor[:3, :3], np.float64)
    return _lookup(view, camera, rotation.tobytes())


def cropped(camera: Camera, x: int, y: int, width: int, height: int) -> Camera:
    """The camera of a window of the image whose first pixel is (x, y)."""
    moved = replace(camera, cx=camera.cx - x, cy=camera.cy - y)
    return replace(moved, width=width, height=height)
