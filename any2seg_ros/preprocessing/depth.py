"""Depth images to modality images: closeness, inverse depth and height of what is nearest."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from any2seg_ros.preprocessing import camera_models
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.preprocessing.rgb import check_size
from any2seg_ros.preprocessing.zbuffer import nearest
from any2seg_ros.types import Camera, InvalidMeasurement, Measurement

NOT_MEASURED = 65535
"""What some drivers write in uint16 where they know no depth, and all where it is beyond."""


def preprocess_depth(measurement: Measurement, view: Camera, scale: RangeScale) -> np.ndarray:
    """A depth image as float32 (3, h, w): closeness, inverse depth, height, each in 0..1.

    Depth is the distance along the optical axis. Holes (0, NaN, inf, negative, of uint16 65535 too)
    and pixels that the depth camera does not see are 0 in all channels. A registered image is
    sampled on the view's raster; another one is reprojected pixel by pixel, and the nearest depth
    on a pixel wins.
    """
    z = depth_in_view(measurement, view).ravel()
    holes = z == np.inf
    if holes.all():
        raise InvalidMeasurement("depth has no valid pixels in view of the reference camera")
    planes = np.empty((3, len(z)), np.float32)
    planes[0] = scale.closeness(z)
    planes[1] = scale.nearness(z)
    with np.errstate(invalid="ignore"):
        planes[2] = scale.elevation(z * _slopes(view))
    planes[2][holes] = 0.0
    return planes.reshape(3, view.height, view.width)


def depth_in_view(measurement: Measurement, view: Camera) -> np.ndarray:
    """Depth on the view's raster: float32 (h, w) in metres, inf in holes."""
    data = measurement.data
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.size == 0:
        raise InvalidMeasurement("depth image must have one channel")
    if data.dtype != np.uint16 and data.dtype != np.float32:
        raise InvalidMeasurement("depth is neither uint16 millimetres nor float32 metres")
    camera = measurement.camera
    check_size(data.shape[1], data.shape[0], camera)
    matrix = measurement.reference_from_sensor
    if camera is None or (
        camera_models.same_place(matrix) and camera_models.same_view(camera, view)
    ):
        return _registered(data, view)
    return _moved(data, camera, view, np.asarray(matrix, np.float64), not measurement.moved)


def metres(samples: np.ndarray, hole: float) -> np.ndarray:
    """Samples of a depth image in metres, float32, with `hole` where there is no depth."""
    if samples.dtype == np.uint16:
        depth = samples * np.float32(0.001)
        depth[(samples == 0) | (samples == NOT_MEASURED)] = hole
        return depth
    return np.where((samples > 0) & (samples < np.inf), samples, np.float32(hole))


def _registered(data: np.ndarray, view: Camera) -> np.ndarray:
    rows, columns = _centres(data.shape[0], view.height), _centres(data.shape[1], view.width)
    return metres(data[rows[:, None], columns], np.inf)


@lru_cache(maxsize=32)
def _centres(source: int, target: int) -> np.ndarray:
    """Source pixels under the centres of the target's pixels."""
    return ((np.arange(target) + 0.5) * (source / target)).astype(np.intp)


@lru_cache(maxsize=16)
def _slopes(view: Camera) -> np.ndarray:
    """y of the ray through every pixel at z = 1, float32 (h * w,)."""
    return np.nan_to_num(camera_models.rays(view)[1]).ravel()


@lru_cache(maxsize=16)
def _grid(camera: Camera, step: int, rotation: bytes) -> np.ndarray:
    """Rays of every `step`th pixel, turned into the reference camera's frame: float32 (3, n)."""
    a, b = camera_models.rays(camera)[:, step // 2 :: step, step // 2 :: step].reshape(2, -1)
    matrix = np.frombuffer(rotation).reshape(3, 3)
    return (matrix @ np.stack([a, b, np.ones_like(a)])).astype(np.float32)


_UNTURNED = np.eye(3).tobytes()


def _turned(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points float32 (n,) each, turned. Written out: a matrix product would wake up threads."""
    rows, product = rotation.astype(np.float32), np.empty_like(x)
    turned = [x * row[0] for row in rows]
    for axis, row in zip(turned, rows, strict=True):
        axis += np.multiply(y, row[1], out=product)
        axis += np.multiply(z, row[2], out=product)
    return turned[0], turned[1], turned[2]


def _moved(
    data: np.ndarray, camera: Camera, view: Camera, matrix: np.ndarray, keep: bool
) -> np.ndarray:
    """keep: the same rotation will be there again, so that its table is worth keeping."""
    ratio = min(camera.fx / view.fx, camera.fy / view.fy)
    # Of a fine image, as many depth pixels are looked at as the view has.
    step = max(1, int(ratio))
    rotation = np.ascontiguousarray(matrix[:3, :3])
    grid = _grid(camera, step, rotation.tobytes() if keep else _UNTURNED)
    depth = metres(data[step // 2 :: step, step // 2 :: step], np.nan)
    x, y, z = grid * depth.reshape(1, -1)
    if not keep:
        x, y, z = _turned(x, y, z, rotation)
    for points, offset in zip((x, y, z), matrix[:3, 3], strict=True):
        points += np.float32(offset)
    index, pixel = camera_models.project(x, y, z, view)
    z = z[index]
    spread = min(int(step / ratio) + 1, max(view.width, view.height))
    point = nearest(pixel, z, view.width, view.height, spread, only_gaps=True)
    return np.append(z, np.float32(np.inf)).take(point).reshape(view.height, view.width)
