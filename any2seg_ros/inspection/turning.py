"""How a sensor turned between two of its measurements, from the measurements alone.

A vehicle pitches, rolls and yaws all the time, and all its sensors with it, however they stand:
rotations are what their images have in common.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera

_WIDTH = 640
"""px to which images are shrunk."""
_CORNERS, _FEWEST = 500, 20
_BACK = 0.5
"""px by which a corner that is followed there and back may miss its place."""
_VOXELS = (1.0, 2.5)
"""m: edges of the cubes in which points are taken for a plane."""
_TAKEN, _PLANE_POINTS = 4000, 60_000
_STEPS = 12
_HUNDRED = 100
_AHEAD = np.array([0.0, 0.0, 1.0])


def rotation(turn: np.ndarray) -> np.ndarray:
    """float64 (3, 3) of a rotation vector (3,) in rad."""
    return cv2.Rodrigues(np.asarray(turn, np.float64))[0]


def vector(matrix: np.ndarray) -> np.ndarray:
    """The rotation vector float64 (3,) in rad of a rotation matrix (3, 3)."""
    return cv2.Rodrigues(matrix)[0].ravel()


class ImageTurns:
    """Of a camera: corners that are followed from image to image, and their epipolar geometry."""

    def __init__(self, camera: Camera) -> None:
        factor = min(1.0, _WIDTH / camera.width)
        self._view = camera.resized(round(camera.width * factor), round(camera.height * factor))
        self._before: np.ndarray | None = None

    def turn(self, image: np.ndarray) -> np.ndarray | None:
        """Rotation vector (3,), from the last image's axes to this one's; None where unknown.

        image: uint8 (h, w) or (h, w, 3).
        """
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        size = self._view.width, self._view.height
        grey = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_AREA)
        before, self._before = self._before, grey
        if before is None:
            return None
        pair = _followed(before, grey)
        if pair is None:
            return None
        return vector(_relative(self._rays(pair[0]), self._rays(pair[1]), 1 / self._view.fx))

    def _rays(self, corners: np.ndarray) -> np.ndarray:
        """float64 (n, 3), z = 1, of pixels float32 (n, 2); NaN where the lens has no inverse."""
        u, v = (np.ascontiguousarray(corners[:, i]) for i in range(2))
        table = camera_models.rays(self._view)
        a, b = (cv2.remap(plane, u, v, cv2.INTER_LINEAR).ravel() for plane in table)
        return np.stack([a, b, np.ones_like(a)], 1).astype(np.float64)


def _followed(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners float32 (n, 2) of two images that belong together; None where there are too few."""
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.005, 7)
    if corners is None or len(corners) < _FEWEST:
        return None
    follow = partial(cv2.calcOpticalFlowPyrLK, winSize=(15, 15), maxLevel=3)
    moved, there, _ = follow(before, after, corners, None)  # type: ignore[call-overload]
    back, again, _ = follow(after, before, moved, None)  # type: ignore[call-overload]
    missed = np.abs(back - corners).reshape(-1, 2).max(1)
    good = (there.ravel() > 0) & (again.ravel() > 0) & (missed < _BACK)
    if good.sum() < _FEWEST:
        return None
    return corners.reshape(-1, 2)[good], moved.reshape(-1, 2)[good]


def _relative(before: np.ndarray, after: np.ndarray, pixel: float) -> np.ndarray:
    """The rotation float64 (3, 3) between rays (n, 3) of the same points; pixel: rad."""
    known = np.isfinite(before + after).all(1)
    before, after = before[known], after[known]
    best, least = np.eye(3), np.inf
    for start, way in _starts(before, after, pixel):
        turned, along = _refined(before, after, start, way, 0.3 * pixel)
        cost = np.minimum(np.abs(_sampson(before, after, turned, along)), pixel).mean()
        if cost < least:
            best, least = turned, cost
    return best


def _starts(
    before: np.ndarray, after: np.ndarray, pixel: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    found: list[tuple[np.ndarray, np.ndarray]] = [(np.eye(3), _AHEAD)]
    if len(before) < 5:
        return found
    one, other = (np.ascontiguousarray(rays[:, :2]) for rays in (before, after))
    essential, _ = cv2.findEssentialMat(
        one, other, np.eye(3), method=cv2.RANSAC, prob=0.999, threshold=pixel
    )
    if essential is not None and essential.shape == (3, 3):
        first, second, way = cv2.decomposeEssentialMat(essential)
        nearer = max((first, second), key=np.trace)
        if np.trace(nearer) > 2.9:
            found.append((nearer, way.ravel()))
    return found


def _sampson(
    before: np.ndarray, after: np.ndarray, turned: np.ndarray, way: np.ndarray
) -> np.ndarray:
    """Sampson's distance (Hartley and Zisserman, Multiple View Geometry, 11.4.3), signed."""
    line = np.cross(way, before @ turned.T)
    other = np.cross(after, way) @ turned
    error = (after * line).sum(1)
    return error / np.sqrt(np.square(line[:, :2]).sum(1) + np.square(other[:, :2]).sum(1) + 1e-12)


def _refined(
    before: np.ndarray, after: np.ndarray, turned: np.ndarray, way: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and direction of least robust Sampson distances, by Gauss and Newton."""
    small = 1e-5
    for _ in range(8):
        side = np.cross(way, np.eye(3)[np.abs(way).argmin()])
        side /= np.linalg.norm(side)
        basis = (side, np.cross(way, side))
        error = _sampson(before, after, turned, way)
        moves = [_sampson(before, after, rotation(row) @ turned, way) for row in small * np.eye(3)]
        moves += [_sampson(before, after, turned, way + small * axis) for axis in basis]
        slope = (np.stack(moves, 1) - error[:, None]) / small
        weight = 1 / (1 + np.square(error / scale))
        normal = slope.T @ (slope * weight[:, None]) + 1e-10 * np.eye(5)
        step = np.clip(-np.linalg.solve(normal, slope.T @ (weight * error)), -0.2, 0.2)
        turned = rotation(step[:3]) @ turned
        way = way + step[3] * basis[0] + step[4] * basis[1]
        way /= np.linalg.norm(way)
    return turned, way


class CloudTurns:
    """Of points: each cloud against the planes of the one before (point-to-plane ICP in voxels)."""

    def __init__(self, near: float = 2.0, far: float = 50.0) -> None:
        self._near, self._far = near, far
        self._rng = np.random.default_rng(0)
        self._before: list[tuple[float, _Planes]] | None = None
        self._motion = np.eye(4)

    def turn(self, points: np.ndarray) -> np.ndarray | None:
        """Rotation vector (3,), from the last cloud's axes to this one's; None where unknown.

        points: (n, 3 or more), m.
        """
        points = points[:, :3].astype(np.float64)
        distance = np.linalg.norm(points, axis=1)
        points = points[(distance > self._near) & (distance < self._far)]
        before = self._before
        some = self._some(points, _PLANE_POINTS)
        self._before = [(edge, _Planes(some, edge)) for edge in _VOXELS]
        if before is None:
            return None
        found = _registered(self._some(points, _TAKEN), before, self._motion)
        if found is None:
            return None
        self._motion = found
        return -vector(found[:3, :3])

    def _some(self, points: np.ndarray, count: int) -> np.ndarray:
        if len(points) <= count:
            return points
        return points[self._rng.permutation(len(points))[:count]]


class _Planes:
    """Planes through the points of each voxel, where these are flat."""

    def __init__(self, points: np.ndarray, edge: float) -> None:
        key, self._edge = _keys(points, edge), edge
        ids, at, count = np.unique(key, return_inverse=True, return_counts=True)
        mean = np.stack([np.bincount(at, points[:, i]) for i in range(3)], 1) / count[:, None]
        away = points - mean[at]
        spread = np.empty((len(ids), 3, 3))
        for i in range(3):
            for j in range(i, 3):
                value = np.bincount(at, away[:, i] * away[:, j]) / count
                spread[:, i, j] = spread[:, j, i] = value
        size, axes = np.linalg.eigh(spread)
        flat = (count >= 6) & (size[:, 1] > 0.05 * size[:, 2]) & (size[:, 1] > 8 * size[:, 0])
        self._ids, self._mean, self._normal = ids[flat], mean[flat], axes[flat][:, :, 0]
        self._noise = np.maximum(size[flat][:, 0], 0) + 0.02**2

    def residuals(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances (m,) in m, how they change with a small motion (m, 6), and their variances."""
        if not len(self._ids):
            return np.empty(0), np.empty((0, 6)), np.empty(0)
        key = _keys(points, self._edge)
        at = np.searchsorted(self._ids, key).clip(0, len(self._ids) - 1)
        hit = self._ids[at] == key
        at, points = at[hit], points[hit]
        normal = self._normal[at]
        distance = ((points - self._mean[at]) * normal).sum(1)
        return distance, np.hstack([np.cross(points, normal), normal]), self._noise[at]


def _keys(points: np.ndarray, edge: float) -> np.ndarray:
    cell = np.floor(points / edge).astype(np.int64) + 1024
    return (cell[:, 0] << 24) | (cell[:, 1] << 12) | cell[:, 2]


def _registered(
    points: np.ndarray, planes: list[tuple[float, _Planes]], motion: np.ndarray
) -> np.ndarray | None:
    """The motion float64 (4, 4) that puts points (n, 3) on planes; None where too few meet."""
    for number in range(_STEPS):
        moved = points @ motion[:3, :3].T + motion[:3, 3]
        scale = 0.3 if number < 4 else 0.1
        normal, slope, count = np.zeros((6, 6)), np.zeros(6), 0
        for _, some in planes:
            distance, change, noise = some.residuals(moved)
            weight = 1 / (1 + np.square(distance / scale)) ** 2 / noise
            normal += change.T @ (change * weight[:, None])
            slope += change.T @ (weight * distance)
            count += len(distance)
        if count < _HUNDRED:
            return None
        step = -np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(6), slope)
        update = np.eye(4)
        update[:3, :3], update[:3, 3] = rotation(step[:3]), step[3:]
        motion = update @ motion
        if np.abs(step).max() < 1e-5:
            break
    return motion


def depth_points(depth: np.ndarray, camera: Camera, far: float = 20.0) -> np.ndarray:
    """Points float64 (n, 3) in m of every second pixel of a depth image nearer than `far` m."""
    some = depth[::2, ::2].astype(np.float64) * (1e-3 if depth.dtype == np.uint16 else 1.0)
    a, b = camera_models.rays(camera)[:, ::2, ::2]
    with np.errstate(invalid="ignore"):
        good = np.isfinite(some) & (some > 0.5) & (some < far) & np.isfinite(a + b)
    z = some[good]
    return np.stack([a[good] * z, b[good] * z, z], 1)
