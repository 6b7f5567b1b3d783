"""LiDAR clouds to modality images: range, intensity and height of the nearest points."""

from __future__ import annotations

import numpy as np

from any2seg_ros.preprocessing import camera_models
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.preprocessing.zbuffer import nearest
from any2seg_ros.types import Camera, InvalidMeasurement, Measurement

_UPRIGHT = 0.7
"""Cosine between two directions that are taken to be the same."""


def preprocess_lidar(
    measurement: Measurement,
    view: Camera,
    scale: RangeScale,
    minimum_range: float = 1.0,
    dilation: int = 2,
) -> np.ndarray:
    """A cloud as float32 (3, h, w): closeness, intensity, height, each in 0..1; 0 without a point.

    Points nearer to the sensor than `minimum_range` metres belong to the vehicle and are dropped.
    The nearest point on a pixel wins, after each point has been made `dilation` pixels wide.
    Range is the distance from the reference camera. InvalidMeasurement if no point is in view.
    """
    cloud = measurement.data
    if not isinstance(cloud, np.ndarray) or cloud.ndim != 2 or cloud.shape[1] != 4:
        raise InvalidMeasurement("cloud must have the columns x, y, z and intensity")
    if len(cloud) == 0:
        raise InvalidMeasurement("cloud is empty")
    cloud = np.asarray(cloud, np.float32)
    x, y, z = _moved(cloud, measurement.reference_from_sensor)
    index, pixel = camera_models.project(x, y, z, view)
    near = np.take(cloud, index, axis=0)
    squares = sum(np.square(near[:, axis]) for axis in range(3))
    far_enough = np.flatnonzero(squares >= np.float32(minimum_range**2))
    if len(far_enough) < len(index):
        index, pixel = index.take(far_enough), pixel.take(far_enough)
        near = near.take(far_enough, axis=0)
    if len(index) == 0:
        raise InvalidMeasurement(_out_of_view(measurement.reference_from_sensor))
    y = y.take(index)
    distance = np.sqrt(np.square(x.take(index)) + np.square(y) + np.square(z.take(index)))
    point = nearest(pixel, distance, view.width, view.height, dilation)
    channels = scale.closeness(distance), np.clip(near[:, 3], 0.0, 1.0), scale.elevation(y)
    planes = np.empty((3, view.height * view.width), np.float32)
    for plane, channel in zip(planes, channels, strict=True):
        np.append(channel, np.float32(0.0)).take(point, out=plane, mode="clip")
    return planes.reshape(3, view.height, view.width)


def _out_of_view(pose: np.ndarray) -> str:
    reason = "cloud has no point in view of the reference camera"
    if pose[2, 2] < _UPRIGHT:
        return reason
    return (
        f"{reason}, whose z is the LiDAR's up: have the camera's messages name an optical frame "
        "(z ahead, y down), or set reference_frame to it"
    )


def _moved(cloud: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and z of the cloud's points in the reference camera's frame, float32 (n,) each.

    Written out: a matrix product would wake up BLAS threads, which is slow where cores are busy.
    """
    rows = np.asarray(matrix, np.float32)[:3]
    product = np.empty(len(cloud), np.float32)
    with np.errstate(all="ignore"):
        moved = [cloud[:, 0] * row[0] for row in rows]
        for axis, row in zip(moved, rows, strict=True):
            for column in (1, 2):
                axis += np.multiply(cloud[:, column], row[column], out=product)
            axis += row[3]
    return moved[0], moved[1], moved[2]
