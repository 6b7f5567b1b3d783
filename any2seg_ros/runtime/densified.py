"""Depth between a LiDAR's beams, for clouds with a point for every pixel."""

from __future__ import annotations

import math

import cv2
import numpy as np

from any2seg_ros.types import Camera

REACH_DEG = 1.0
"""How far from a point depth is filled in: beams of 32 over 40 degrees are 1.3 apart."""

_SURFACE = 1.25
"""Up to this ratio of the farthest depth within reach to the nearest they are one surface."""


def densified(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """float32 (h, w) in m, NaN where unknown, filled in up to `REACH_DEG` around known pixels.

    On one surface 1/z is averaged, which is linear in the pixels of a plane; at edges the nearest
    known pixel counts. Known pixels stay as they are.
    """
    known = depth > 0
    reach = round(math.tan(math.radians(REACH_DEG)) * max(camera.fx, camera.fy))
    if reach < 1 or not known.any() or known.all():
        return depth
    inverse = np.zeros_like(depth)
    inverse[known] = 1.0 / depth[known]
    size = (2 * reach + 1, 2 * reach + 1)
    distance, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(nearest.max() + 1, np.float32)
    values[nearest[known]] = inverse[known]
    filled = values[nearest]
    window = np.ones((size[1], 1), np.uint8), np.ones((1, size[0]), np.uint8)
    near, far = inverse, np.where(known, inverse, np.float32(np.inf))
    for side in window:
        near, far = cv2.dilate(near, side), cv2.erode(far, side)
    weight = cv2.GaussianBlur(known.astype(np.float32), size, reach / 2)
    mean = cv2.GaussianBlur(inverse, size, reach / 2)
    surface = (near / _SURFACE <= far) & (weight > 0)
    np.divide(mean, weight, out=filled, where=surface)
    reached = ~known & (distance <= reach) & (filled > 0)
    dense = np.where(known, depth, np.float32(np.nan))
    dense[reached] = 1.0 / filled[reached]
    return dense
