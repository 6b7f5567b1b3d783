"""Which transforms may enter the tree of frames: none that closes a loop, and not without end."""

from __future__ import annotations

import math
from typing import Any

from any2seg_ros.types import plain

MAX_FRAMES = 2000
"""Frames of a vehicle at most: its arms and legs among them, there are some hundreds."""
_LONGEST_NAME = 200
_EXPIRED = 10_000_000_000
"""ns after which a moving transform that is told no more is none."""


class FrameTree:
    """The parent of each frame, as transforms tell; nothing that is refused changes it."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, int]] = {}
        """By child: its parent, and when (ns) that was told last; static ones never expire."""

    def refusal(self, transform: Any, static: bool, now: int) -> str:
        """Why a TransformStamped is ignored; empty if it is not. now: ns of a steady clock."""
        parent = str(transform.header.frame_id).lstrip("/")
        child = str(transform.child_frame_id).lstrip("/")
        for name in (parent, child):
            if not name or len(name) > _LONGEST_NAME or not name.isprintable():
                return f"a transform names the frame '{plain(name)}': ignored"
        if not _finite(transform.transform):
            return f"the transform of '{child}' in '{parent}' is not finite: ignored"
        known = self._parents.get(child)
        if known is None and len(self._parents) >= MAX_FRAMES:
            return f"more than {MAX_FRAMES} frames in TF: new ones are ignored"
        if (known is None or known[0] != parent) and self._leads(parent, child, now):
            return f"the transform of '{child}' in '{parent}' closes a loop: ignored"
        self._parents[child] = parent, (1 << 62) if static else now
        return ""

    def forget(self) -> None:
        """Drop what moves, as after a jump of time."""
        self._parents = {c: (p, t) for c, (p, t) in self._parents.items() if t == 1 << 62}

    def _leads(self, frame: str, to: str, now: int) -> bool:
        """Whether the ancestors of a frame, itself among them, hold another."""
        for _ in range(MAX_FRAMES):
            if frame == to:
                return True
            parent, told = self._parents.get(frame, ("", 0))
            if not parent or now - told > _EXPIRED:
                return False
            frame = parent
        return True


def _finite(pose: Any) -> bool:
    t, q = pose.translation, pose.rotation
    numbers = (t.x, t.y, t.z, q.x, q.y, q.z, q.w)
    return all(math.isfinite(number) for number in numbers) and any(numbers[3:])
