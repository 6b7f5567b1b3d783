"""Overlays of masks on camera images, and labelled points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from any2seg_ros.messages import labelled_points
from any2seg_ros.preprocessing import camera_models
from any2seg_ros.preprocessing.depth import depth_in_view, metres
from any2seg_ros.preprocessing.rgb import seen
from any2seg_ros.runtime.densified import densified
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import IGNORE, Camera, Measurement, Modality, Segmentation

DEPTH_COLUMNS = 320
"""A depth image gives about this many columns of points."""


@dataclass(frozen=True)
class OutputConfig:
    """How outputs are rendered; see the parameters of the same names."""

    confidence_encoding: str = "mono8"
    minimum_confidence: float = 0.0
    overlay_opacity: float = 0.5
    header_frame: str = "anchor"
    organized_points: bool = False


def sure_labels(segmentation: Segmentation, minimum: float) -> np.ndarray:
    """The labels uint8 (h, w), `IGNORE` where the confidence is below `minimum`."""
    if minimum <= 0:
        return segmentation.labels
    return np.where(segmentation.confidence < minimum, np.uint8(IGNORE), segmentation.labels)


def background(result: Result, view: Camera) -> np.ndarray:
    """What an overlay is laid over, uint8 (height, width, 3): the camera's image, if there is one.

    It is shown as `view` sees it, the reference camera at the size of the overlay. Without a camera
    it is the brightest channel of the first image that the network ate.
    """
    width, height = view.width, view.height
    camera = result.frame.measurements.get(Modality.RGB)
    if camera is not None and isinstance(camera.data, np.ndarray):
        pixels, _ = seen(camera, view)
        return np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))
    if not result.images:
        return np.zeros((height, width, 3), np.uint8)
    plane = np.clip(result.images[min(result.images)].max(0) * 255.0, 0, 255).astype(np.uint8)
    plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB)


def overlay(result: Result, color: np.ndarray, opacity: float) -> np.ndarray:
    """`color` uint8 (h, w, 3) laid over the background with an opacity in 0..1."""
    height, width = color.shape[:2]
    behind = background(result, _reference(result).resized(width, height))
    return cv2.addWeighted(behind, 1 - opacity, color, opacity, 0.0)


def semantic_points(result: Result, labels: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """The LiDAR's points, otherwise the depth image's, with the class that each falls on.

    labels uint8 (h, w). Points as `messages.labelled_points` packs them, in the reference
    camera's frame; those that its image does not show are left out.
    """
    assert result.segmentation is not None
    xyz = cloud_of(result)
    height, width = labels.shape
    view = _reference(result).resized(width, height)
    x, y, z = np.ascontiguousarray(xyz.T)
    index, pixel = camera_models.project(x, y, z, view)
    ids = labels.ravel()[pixel]
    confidence = result.segmentation.confidence.ravel()[pixel]
    return labelled_points(xyz[index], taxonomy.palette[ids], ids, confidence)


def organized_points(result: Result, labels: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """A point for every pixel of labels uint8 (h, w): LABELLED_POINT (h, w), NaN without depth.

    Depth is what the depth image has; where it has none, the LiDAR's nearest point on the pixel,
    `densified`. In the reference camera's frame, m.
    """
    assert result.segmentation is not None
    height, width = labels.shape
    view = _reference(result).resized(width, height)
    xyz = np.full((height * width, 3), np.nan, np.float32)
    lidar, cloud = _measured(result, Modality.LIDAR)
    if lidar is not None:
        points = _moved(cloud[:, :3], lidar.reference_from_sensor)
        x, y, z = np.ascontiguousarray(points.T)
        index, pixel = camera_models.project(x, y, z, view)
        order = np.argsort(-z[index], kind="stable")  # the nearest is written last
        sparse = np.full(height * width, np.nan, np.float32)
        sparse[pixel[order]] = z[index][order]
        _set_depth(xyz, densified(sparse.reshape(height, width), view), view)
        xyz[pixel[order]] = points[index][order]
    depth, _ = _measured(result, Modality.DEPTH)
    if depth is not None:
        _set_depth(xyz, depth_in_view(depth, view), view)
    confidence = result.segmentation.confidence.ravel()
    ids = labels.ravel()
    return labelled_points(xyz, taxonomy.palette[ids], ids, confidence).reshape(height, width)


def _set_depth(xyz: np.ndarray, depth: np.ndarray, view: Camera) -> None:
    """Set the points (h * w, 3) of the pixels whose depth (h, w) is known."""
    z = depth.ravel()
    a, b = camera_models.rays(view).reshape(2, -1)
    known = np.isfinite(z) & np.isfinite(a) & np.isfinite(b)
    a, b, z = a[known], b[known], z[known]
    xyz[known] = np.stack([a * z, b * z, z], axis=-1)


def _measured(result: Result, modality: Modality) -> tuple[Measurement | None, np.ndarray]:
    """A modality's measurement and its image or cloud (h, w), if it has one."""
    found = result.frame.measurements.get(modality)
    data = found.data if isinstance(found, Measurement) else None
    if isinstance(data, np.ndarray) and data.ndim == 2:
        return found, data
    return None, np.zeros((0, 0), np.float32)


def cloud_of(result: Result) -> np.ndarray:
    """Points float32 (n, 3) in the reference camera's frame, m; none without LiDAR and depth.

    Depth without a camera of its own is registered to the reference camera.
    """
    lidar = result.frame.measurements.get(Modality.LIDAR)
    if lidar is not None and isinstance(lidar.data, np.ndarray) and lidar.data.ndim == 2:
        return _moved(lidar.data[:, :3], lidar.reference_from_sensor)
    depth = result.frame.measurements.get(Modality.DEPTH)
    if depth is None or not isinstance(depth.data, np.ndarray):
        return np.zeros((0, 3), np.float32)
    camera = depth.camera or _reference(result).resized(depth.data.shape[1], depth.data.shape[0])
    step = max(1, depth.data.shape[1] // DEPTH_COLUMNS)
    z = metres(depth.data[::step, ::step], np.nan)
    a, b = camera_models.rays(camera)[:, ::step, ::step]
    with np.errstate(all="ignore"):
        points = np.stack([a * z, b * z, z], axis=-1).reshape(-1, 3)
        kept = np.isfinite(points).all(1) & (points[:, 2] > 0)
    return _moved(points[kept], depth.reference_from_sensor)


def _reference(result: Result) -> Camera:
    """The reference camera that a segmented Result was made with."""
    reference = result.calibration.reference
    assert reference is not None, "nothing is segmented without a reference camera"
    return reference


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    rotated = points @ np.asarray(matrix[:3, :3].T, np.float32)
    return rotated + np.asarray(matrix[:3, 3], np.float32)
