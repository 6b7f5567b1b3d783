"""Measurements of a moving vehicle, brought to the time of their Frame.

The poses of TF are interpolated (linear in place, spherical in rotation), and for a moment
extrapolated at constant velocity: TF's newest pose is older than what sensors measure. A sensor
is moved with the reference camera, in which its pose is known: they sit on one body.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from any2seg_ros.loops import compiled
from any2seg_ros.types import IDENTITY, Camera, Measurement, Trajectory

AHEAD = 200_000_000
"""ns for which poses are extrapolated: half the square of that times 3 m/s2 is 6 cm."""
GAP = 500_000_000
"""ns between two poses at most, for a time between them."""
_BASE = 50_000_000
"""ns over which the velocity is taken for that, where there are poses."""
_FASTEST, _FASTEST_TURN = 100.0, 12.0
"""m/s and rad/s of a vehicle at most."""
_HARDEST, _JITTER, _JITTER_TURN = 30.0, 0.05, 0.02
"""m/s2 and rad/s2 of a vehicle at most; m and rad by which poses may jitter besides."""
_STILL = 1e-4
"""m and rad within which nothing has moved."""
_KNOT = 10_000_000
"""ns between the poses that are looked up for a sweep."""
_STEPS = 32
"""Poses between two knots, by linear interpolation: at 30 m/s a point is 5 mm off at most."""


@dataclass(frozen=True, eq=False)
class Link:
    """How a frame lies in its parent, by time.

    stamps int64 (n,) ns, ascending; poses float64 (n, 7): x y z in m and the unit quaternion
    x y z w. A static one has one pose, for all times.
    """

    name: str
    stamps: np.ndarray
    poses: np.ndarray
    static: bool = False

    def at(self, stamps: np.ndarray) -> np.ndarray:
        """float64 (k, 4, 4), to the parent's frame at int64 (k,) ns; LookupError says why not."""
        if self.static or self._stands():
            return np.broadcast_to(_matrices(self.poses[-1:]), (len(stamps), 4, 4))
        known, last = self.stamps, len(self.stamps) - 1
        if last < 1:
            raise LookupError(f"TF has one pose of '{self.name}' so far")
        if stamps.min() < known[0]:
            late = (known[0] - stamps.min()) * 1e-9
            raise LookupError(f"TF of '{self.name}' begins too late by {late:.2f} s")
        if stamps.max() > known[-1] + AHEAD:
            early = (stamps.max() - known[-1]) * 1e-9
            raise LookupError(f"TF of '{self.name}' is behind by {early:.2f} s")
        before = np.clip(np.searchsorted(known, stamps, side="right") - 1, 0, last - 1)
        after = before + 1
        ahead = stamps > known[-1]
        base = max(0, min(int(np.searchsorted(known, known[-1] - _BASE, "right")) - 1, last - 1))
        before[ahead] = base
        after[ahead] = last
        begin = min(int(stamps.min()), int(known[base])) if ahead.any() else int(stamps.min())
        share = (stamps - known[before]) / (known[after] - known[before])
        self._check(before, after, share, begin, int(stamps.max()))
        return _matrices(_between(self.poses[before], self.poses[after], share))

    def _stands(self) -> bool:
        """Whether it has not moved at all, as a sensor that is told of on /tf again and again."""
        if len(self.poses) < 2:
            return False
        return _distances(self.poses, self.poses[-1:]).max() < _STILL

    def _check(
        self, before: np.ndarray, after: np.ndarray, share: np.ndarray, begin: int, end: int
    ) -> None:
        """LookupError where the poses that are used are far apart in time, or jump."""
        between = (share > 0) & (share != 1)
        gaps = (self.stamps[after] - self.stamps[before])[between]
        if len(gaps) and gaps.max() > GAP:
            raise LookupError(f"TF of '{self.name}' has a gap: {gaps.max() * 1e-9:.2f} s")
        # Steps from one pose to the next, those that the time between begin and end touches.
        seconds = np.diff(self.stamps) * 1e-9
        moved = np.diff(self.poses[:, :3], axis=0)
        turned = _rotation_vectors(self.poses[:-1, 3:], self.poses[1:, 3:])
        used = np.flatnonzero((self.stamps[:-1] < end) & (self.stamps[1:] > begin))
        allowed = 0.5 * _HARDEST * seconds * seconds
        for steps, fastest, jitter in (
            (moved, _FASTEST, _JITTER),
            (turned, _FASTEST_TURN, _JITTER_TURN),
        ):
            size = np.linalg.norm(steps, axis=1)
            beside = _deviations(steps, seconds)
            wild = (size > fastest * seconds + jitter) | (beside > allowed + jitter)
            if wild[used].any():
                worst = size[used][wild[used]].max()
                unit = "m" if steps is moved else "rad"
                raise LookupError(f"TF of '{self.name}' jumps by {worst:.2f} {unit}")


def _deviations(steps: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """By how much each step differs from that of its neighbours' velocity, the nearer of both.

    0 where it has none. Of two neighbours one may be a jump itself.
    """
    if len(steps) < 2:
        return np.zeros(len(steps))
    velocity = steps / seconds[:, None]
    change = np.linalg.norm(np.diff(velocity, axis=0), axis=1)
    before, after = np.append(np.inf, change), np.append(change, np.inf)
    return np.minimum(before, after) * seconds


@dataclass(frozen=True, eq=False)
class TfTrajectory:
    """The way of the reference camera through a fixed frame, see `Trajectory`.

    ups: links from the camera's frame to the ancestor that it has in common with the fixed frame;
    downs: from the fixed frame to that one. mount: float64 (4, 4), what turns the reference
    camera's points into those of its frame, where its images are rectified.
    """

    ups: tuple[Link, ...]
    downs: tuple[Link, ...]
    mount: np.ndarray = field(default_factory=lambda: IDENTITY)

    def poses(self, stamps: np.ndarray) -> np.ndarray:
        """See `Trajectory`."""
        camera = _joined(self.ups, stamps) @ self.mount
        return np.linalg.inv(_joined(self.downs, stamps)) @ camera if self.downs else camera


@dataclass(frozen=True)
class NoTrajectory:
    """What there is where TF does not join the frames."""

    reason: str

    def poses(self, stamps: np.ndarray) -> np.ndarray:
        """LookupError with the reason."""
        raise LookupError(self.reason)


def _joined(links: tuple[Link, ...], stamps: np.ndarray) -> np.ndarray:
    pose = np.broadcast_to(IDENTITY, (len(stamps), 4, 4))
    for link in links:
        pose = link.at(stamps) @ pose
    return pose


def moved_to(
    measurement: Measurement,
    trajectory: Trajectory,
    at: int,
    to: int,
    reference: Camera,
    minimum_range: float,
) -> Measurement:
    """A measurement as it would be at another time, for a world that stands still.

    at: ns, when it was measured, in the time of TF; to: ns, the Frame's. A cloud whose points have
    times is moved point by point, but for what is nearer than `minimum_range` m: that is the
    vehicle, which comes along. Everything else is moved as a whole. LookupError says why not.
    """
    if measurement.times is not None and isinstance(measurement.data, np.ndarray):
        return _unwound(measurement, trajectory, at, to, minimum_range)
    if at == to:
        return measurement
    motion = _motion(trajectory, np.array([at]), to)[0]
    if np.abs(motion - IDENTITY).max() < _STILL:
        return measurement
    camera = measurement.camera
    if camera is None and isinstance(measurement.data, np.ndarray) and measurement.times is None:
        height, width = measurement.data.shape[:2]
        camera = reference.resized(width, height)  # it was registered to the reference camera
    pose = motion @ measurement.reference_from_sensor
    return replace(measurement, camera=camera, reference_from_sensor=pose, moved=True)


def _motion(trajectory: Trajectory, stamps: np.ndarray, to: int) -> np.ndarray:
    """float64 (k, 4, 4): the reference camera's frame at int64 (k,) ns to the same at `to`."""
    poses = trajectory.poses(np.append(stamps, to))
    return np.linalg.inv(poses[-1]) @ poses[:-1]


def _unwound(
    measurement: Measurement, trajectory: Trajectory, at: int, to: int, minimum_range: float
) -> Measurement:
    cloud, times, pose = measurement.data, measurement.times, measurement.reference_from_sensor
    assert isinstance(cloud, np.ndarray) and times is not None
    first, last = float(times.min()), float(times.max())
    count = max(2, int(np.ceil((last - first) * 1e9 / _KNOT)) + 1)
    stamps = at + np.rint(np.linspace(first, last, count) * 1e9).astype(np.int64)
    motion = _motion(trajectory, stamps, to)
    if np.abs(motion - IDENTITY).max() < _STILL:
        return replace(measurement, times=None)
    table = _fine(np.linalg.inv(pose) @ motion @ pose)
    steps = (len(table) - 1) / (last - first) if last > first else 0.0
    near = np.float32(minimum_range**2)
    points = np.ascontiguousarray(cloud, np.float32)
    points = _unwind(points, times, table, np.float32(first), np.float32(steps), near)
    return replace(measurement, data=points, times=None)


def _fine(knots: np.ndarray) -> np.ndarray:
    """float32 ((k - 1) * _STEPS + 1, 3, 4) of poses float64 (k, 4, 4), interpolated linearly."""
    share = np.arange((len(knots) - 1) * _STEPS + 1) / _STEPS
    below = np.minimum(share.astype(int), len(knots) - 2)
    share = (share - below)[:, None, None]
    rows = knots[:, :3]
    return (rows[below] * (1 - share) + rows[below + 1] * share).astype(np.float32)


@compiled
def _unwind(cloud, times, table, first, steps, near):
    """Each point moved by the pose of its time; `table` has them, evenly from `first` on."""
    moved = np.empty_like(cloud)
    half = np.float32(0.5)
    for i in range(len(cloud)):
        x, y, z = cloud[i, 0], cloud[i, 1], cloud[i, 2]
        moved[i, 3] = cloud[i, 3]
        if x * x + y * y + z * z < near:
            moved[i, 0], moved[i, 1], moved[i, 2] = x, y, z
            continue
        t = np.intp((times[i] - first) * steps + half)
        for axis in range(3):
            moved[i, axis] = (
                table[t, axis, 0] * x + table[t, axis, 1] * y + table[t, axis, 2] * z
            ) + table[t, axis, 3]
    return moved


def warm_up() -> None:
    """Compile what moves sweeps, before the first one waits for it."""
    zero = np.float32(0.0)
    _unwind(
        np.ones((1, 4), np.float32), np.zeros(1, np.float32), _fine(np.stack([np.eye(4)] * 2)),
        zero, zero, zero,
    )  # fmt: skip


def _between(begin: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Poses (k, 7) at a share (k,) of the way from `begin` to `end`; above 1 it goes on."""
    share = share[:, None]
    place = begin[:, :3] + share * (end[:, :3] - begin[:, :3])
    p, q = begin[:, 3:], end[:, 3:]
    cosine = (p * q).sum(1, keepdims=True)
    q = np.where(cosine < 0, -q, q)
    angle = np.arccos(np.minimum(np.abs(cosine), 1.0))
    sine = np.sin(angle)
    small = sine < 1e-6
    safe = np.where(small, 1.0, sine)
    low = np.where(small, 1 - share, np.sin((1 - share) * angle) / safe)
    high = np.where(small, share, np.sin(share * angle) / safe)
    rotation = low * p + high * q
    rotation /= np.linalg.norm(rotation, axis=1, keepdims=True)
    return np.concatenate([place, rotation], axis=1)


def _matrices(poses: np.ndarray) -> np.ndarray:
    """float64 (k, 4, 4) of poses (k, 7)."""
    x, y, z, w = poses[:, 3:].T
    matrix = np.zeros((len(poses), 4, 4))
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 0, 2] = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
    )  # fmt: skip
    matrix[:, 1, 0], matrix[:, 1, 1], matrix[:, 1, 2] = (
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
    )  # fmt: skip
    matrix[:, 2, 0], matrix[:, 2, 1], matrix[:, 2, 2] = (
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    matrix[:, :3, 3] = poses[:, :3]
    matrix[:, 3, 3] = 1.0
    return matrix


def _distances(poses: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The larger of m and rad between poses (n, 7) and another (1, 7)."""
    metres = np.linalg.norm(poses[:, :3] - other[:, :3], axis=1)
    cosine = np.abs((poses[:, 3:] * other[:, 3:]).sum(1))
    # The sine's series: arccos of a cosine near 1 is noise.
    radians = 2 * np.sqrt(np.maximum(0.0, 2 * (1 - cosine)))
    return np.maximum(metres, radians)


def _rotation_vectors(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """float64 (n, 3) rad: axis times angle from one quaternion (n, 4) to the next."""
    v, w = begin[:, :3], begin[:, 3:]
    u, s = end[:, :3], end[:, 3:]
    # The conjugate of `begin` times `end`.
    vector = w * u - s * v - np.cross(v, u)
    scalar = w * s + (v * u).sum(1, keepdims=True)
    vector = np.where(scalar < 0, -vector, vector)
    sine = np.linalg.norm(vector, axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, np.abs(scalar))
    return vector * np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-9)
