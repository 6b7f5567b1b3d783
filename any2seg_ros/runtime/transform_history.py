"""The poses of the vehicle as TF told them, for a while: where its camera was, by time."""

from __future__ import annotations

from typing import Any

import numpy as np

from any2seg_ros.messages import stamp_ns
from any2seg_ros.preprocessing.motion import Link, NoTrajectory, TfTrajectory
from any2seg_ros.runtime.frame_tree import MAX_FRAMES
from any2seg_ros.types import Trajectory, plain

_FEW, _MANY = 32, 2400
"""Poses that are kept of a frame: of any, and of one between the camera and the fixed frame."""
_APART = 10_000_000
"""ns that three of them span at least, so that the many last 12 s; the newest is always kept."""
_MARGIN = 1_300_000_000
"""ns before and after a Frame's measurements whose poses it takes along: the length of a sweep,
and what tells a jump from a drive."""
_DEEPEST = 64
"""Frames above each other at most."""


class TransformHistory:
    """Poses by frame and time, bounded in memory; belongs to the thread that hears TF.

    fixed: the frame that the vehicle moves in. It gets transforms that `FrameTree` lets pass.
    """

    def __init__(self, fixed: str) -> None:
        self.fixed = fixed.lstrip("/")
        self._frames: dict[str, _Frame] = {}

    def add(self, transform: Any, static: bool) -> None:
        """Keep a TransformStamped."""
        parent = str(transform.header.frame_id).lstrip("/")
        child = str(transform.child_frame_id).lstrip("/")
        frame = self._frames.get(child)
        if frame is None or frame.parent != parent or frame.static != static:
            if frame is None and len(self._frames) >= MAX_FRAMES:
                return
            frame = self._frames[child] = _Frame(parent, static)
        t, q = transform.transform.translation, transform.transform.rotation
        pose = np.array([t.x, t.y, t.z, q.x, q.y, q.z, q.w], np.float64)
        length = np.linalg.norm(pose[3:])
        if not np.isfinite(pose).all() or length < 1e-9:
            return
        pose[3:] /= length
        frame.add(stamp_ns(transform.header.stamp), pose)

    def drop(self, child: str) -> None:
        """Forget a frame, which makes room for others."""
        self._frames.pop(child, None)

    def forget(self) -> None:
        """Drop what moves, as after a jump of time."""
        self._frames = {name: frame for name, frame in self._frames.items() if frame.static}

    def trajectory(self, camera: str, begin: int, end: int, mount: np.ndarray) -> Trajectory:
        """The way of the frame `camera` between two stamps (ns) and somewhat beyond.

        mount: see `TfTrajectory`. A value: what is told later does not change it.
        """
        if not camera:
            return NoTrajectory("frame of the reference camera is unknown")
        ups, downs = self._ancestors(camera), self._ancestors(self.fixed)
        common = next((name for name in ups if name in downs), None)
        if common is None:
            return NoTrajectory(
                f"no transform from {plain(camera)} to {plain(self.fixed)} (motion_compensation)"
            )
        window = begin - _MARGIN, end + _MARGIN

        def links(names: list[str]) -> tuple[Link, ...]:
            return tuple(self._frames[n].link(n, window) for n in names[: names.index(common)])

        return TfTrajectory(links(ups), links(downs), mount)

    def _ancestors(self, name: str) -> list[str]:
        """A frame, its parent, and so on up to the root."""
        names = [name]
        while name in self._frames and len(names) < _DEEPEST:
            name = self._frames[name].parent
            names.append(name)
        return names


class _Frame:
    """The last poses of a frame in its parent, in the order in which they came."""

    def __init__(self, parent: str, static: bool) -> None:
        self.parent = parent
        self.static = static
        self._stamps = np.zeros(1 if static else _FEW, np.int64)
        self._poses = np.zeros((len(self._stamps), 7))
        self._count = 0

    def add(self, stamp: int, pose: np.ndarray) -> None:
        """The newest pose; the one before it goes where three would lie close together."""
        if not self.static and self._count and self._is_near(stamp):
            self._count -= 1
        at = self._count % len(self._stamps)
        self._stamps[at], self._poses[at] = stamp, pose
        self._count += 1

    def _is_near(self, stamp: int) -> bool:
        size = len(self._stamps)
        if stamp == self._stamps[(self._count - 1) % size]:
            return True
        return self._count > 1 and abs(stamp - self._stamps[(self._count - 2) % size]) < _APART

    def link(self, name: str, window: tuple[int, int]) -> Link:
        """The poses within a window of time (ns), in order; all where there are none."""
        if not self.static and len(self._stamps) == _FEW:
            self._grow()
        count = min(self._count, len(self._stamps))
        stamps = self._stamps[:count]
        inside = np.flatnonzero((stamps >= window[0]) & (stamps <= window[1]))
        if len(inside) < 2:
            inside = np.arange(count)
        _, first = np.unique(stamps[inside], return_index=True)
        chosen = inside[first]
        return Link(name, stamps[chosen], self._poses[chosen], self.static)

    def _grow(self) -> None:
        """Room for many, once it is known to be between the camera and the fixed frame."""
        size = len(self._stamps)
        order = np.arange(max(0, self._count - size), self._count) % size
        stamps, poses = np.zeros(_MANY, np.int64), np.zeros((_MANY, 7))
        stamps[: len(order)], poses[: len(order)] = self._stamps[order], self._poses[order]
        self._stamps, self._poses, self._count = stamps, poses, len(order)
