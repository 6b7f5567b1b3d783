"""Which transforms may enter the tree of frames: none that closes a loop, and not without end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from any2seg_ros.messages import stamp_ns
from any2seg_ros.runtime.proving import AGREEING, Proving
from any2seg_ros.types import plain

MAX_FRAMES = 2000
"""Frames of a vehicle at most: its arms and legs among them, there are some hundreds."""
_LONGEST_NAME = 200
_EXPIRED = 10_000_000_000
"""ns after which a moving transform that is told no more is none."""
_AHEAD = 2_000_000_000
"""ns that a stamp may be ahead of the clock: localisation tells poses up to a second ahead."""


class _Told(NamedTuple):
    """What was told of a frame last: its parent, when (ns), and how often it was told."""

    parent: str
    at: int
    times: int
    transform: Any


class FrameTree:
    """The parent of each frame, as transforms tell; nothing that is refused changes it.

    on_drop: told of a moving frame that makes room. Whoever keeps transforms for good, as tf2 does
    with names, begins anew with those of `told` when `epoch` has grown.
    """

    def __init__(self, on_drop: Callable[[str], None] = lambda child: None) -> None:
        self.epoch = 0
        self._on_drop = on_drop
        self._static: dict[str, _Told] = {}
        self._moving: dict[str, _Told] = {}
        """Those that were told last are last."""
        self._ahead = Proving(False)
        """Whether stamps are ahead of the clock: then another clock makes all of them."""
        self._named = 0
        """Names of frames since the epoch began."""

    def refusal(self, transform: Any, static: bool, now: int, clock: int = 0) -> str:
        """Why a TransformStamped is ignored; empty if it is not.

        now: ns of a steady clock. clock: ns, what the clock that makes stamps shows; 0 for none.
        """
        parent = str(transform.header.frame_id).lstrip("/")
        child = str(transform.child_frame_id).lstrip("/")
        for name in (parent, child):
            if not name or len(name) > _LONGEST_NAME or not name.isprintable():
                return f"a transform names the frame '{plain(name)}': ignored"
        if not _finite(transform.transform):
            return f"the transform of '{child}' in '{parent}' is not finite: ignored"
        known = self._known(child)
        if (known is None or known.parent != parent) and self._leads(parent, child, now):
            return f"the transform of '{child}' in '{parent}' closes a loop: ignored"
        reason = self._contradiction(child, static, now)
        if not reason and not static and clock:
            reason = self._too_early(child, stamp_ns(transform.header.stamp) - clock, now)
        if reason:
            return reason
        if known is None and not self._has_room(static, now):
            return f"more than {MAX_FRAMES} frames in TF: new ones are ignored"
        self._take(child, _Told(parent, now, known.times + 1 if known else 1, transform), static)
        return ""

    def told(self) -> Iterator[tuple[Any, bool]]:
        """The last TransformStamped of each frame, and whether it is static."""
        for one in self._static.values():
            yield one.transform, True
        for one in self._moving.values():
            yield one.transform, False

    def forget(self) -> None:
        """Drop what moves, as after a jump of time."""
        self._moving = {}

    def _known(self, child: str) -> _Told | None:
        return self._static.get(child) or self._moving.get(child)

    def _take(self, child: str, told: _Told, static: bool) -> None:
        before, moved = self._known(child), self._moving.pop(child, None)
        (self._static if static else self._moving)[child] = told
        self._named += before is None or before.parent != told.parent
        if self._named > 2 * MAX_FRAMES or (static and moved is not None):
            self._named = 0
            self.epoch += 1

    def _contradiction(self, child: str, static: bool, now: int) -> str:
        """Why a frame cannot be static, or cannot move."""
        if not static:
            known = child in self._static
            return f"'{child}' is static in TF: what moves it is ignored" if known else ""
        moving = self._moving.get(child)
        if moving is None or moving.times < AGREEING or now - moving.at > _EXPIRED:
            return ""
        return f"'{child}' moves in TF: what is static of it is ignored"

    def _too_early(self, child: str, ahead: int, now: int) -> str:
        """Why a stamp that is so far (ns) ahead of the clock cannot be."""
        if self._ahead.offer(ahead > _AHEAD, now) or ahead <= _AHEAD:
            return ""
        return f"the transform of '{child}' is ahead of the clock by {ahead * 1e-9:.1f} s: ignored"

    def _has_room(self, static: bool, now: int) -> bool:
        """Whether another frame may come. What has expired makes room; for one that is static,
        which is told only once, all that moves does."""
        if len(self._static) + len(self._moving) < MAX_FRAMES:
            return True
        had = len(self._moving)
        while self._moving:
            child, oldest = next(iter(self._moving.items()))
            if not static and now - oldest.at <= _EXPIRED:
                break
            del self._moving[child]
            self._on_drop(child)
        return len(self._moving) < had

    def _leads(self, frame: str, to: str, now: int) -> bool:
        """Whether the ancestors of a frame, itself among them, hold another."""
        for _ in range(MAX_FRAMES):
            if frame == to:
                return True
            told = self._known(frame)
            if told is None or (frame in self._moving and now - told.at > _EXPIRED):
                return False
            frame = told.parent
        return True


def _finite(pose: Any) -> bool:
    t, q = pose.translation, pose.rotation
    numbers = (t.x, t.y, t.z, q.x, q.y, q.z, q.w)
    return all(math.isfinite(number) for number in numbers) and any(numbers[3:])
