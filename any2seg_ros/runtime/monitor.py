"""Statistics of one sensor's messages: rate, age, and why some were refused."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass

_SPAN = 2_000_000_000
_SECOND = 1_000_000_000
_LONGEST = 60 * _SECOND
"""Max ns between two lines that say the same; after as long without it, it is news again."""
_KINDS = 8
"""Different texts that are told at once; what a stranger's message says may be ever different."""
_CHANGING = re.compile(r"'[^']*'|\d[\d.e+-]*")
"""What differs from line to line: names and figures."""


@dataclass
class _Told:
    interval: int
    due: int
    last: int


class Repeats:
    """Which lines of a log are worth it: new ones at once, the same again after 1, 2, 4, ... 60 s.

    Lines are the same if only their figures and quoted names differ.
    """

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def due(self, text: str, now: int) -> bool:
        """Whether to say it; now: ns of a steady clock."""
        kind = _CHANGING.sub("#", text)[:100]
        if kind not in self._told:
            self._told = {k: t for k, t in self._told.items() if now - t.last < _LONGEST}
            if len(self._told) >= _KINDS:
                kind = ""
        told = self._told.get(kind)
        if told is None or now - told.last > _LONGEST:
            self._told[kind] = _Told(_SECOND, now + _SECOND, now)
            return True
        told.last = now
        if now < told.due:
            return False
        told.interval = min(2 * told.interval, _LONGEST)
        told.due = now + told.interval
        return True


class Monitor:
    """Counts one sensor's messages; all times are ns of a steady clock."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over, as before the first message."""
        self.count = 0
        self.arrival = 0
        self.stamp = 0
        self.refused = 0
        self.lost = 0
        self.reason = ""
        self.reason_at = 0
        self.weight = 0.0
        self.used_at = 0
        self._marks: deque[tuple[int, int]] = deque()
        self._repeats = Repeats()

    def on_message(self, now: int) -> None:
        """A message has arrived."""
        self.count += 1
        self.arrival = now

    def refuse(self, reason: str, now: int) -> bool:
        """A message was refused; returns whether to log it: see `Repeats`."""
        self.refused += 1
        self.reason = reason
        self.reason_at = now
        return self._repeats.due(reason, now)

    def tick(self, now: int) -> None:
        """Take a sample for `rate`; call this several times a second."""
        self._marks.append((now, self.count))
        while len(self._marks) > 2 and self._marks[1][0] <= now - _SPAN:
            self._marks.popleft()

    @property
    def rate(self) -> float:
        """Messages a second over the last two seconds, 0.0 without any."""
        if len(self._marks) < 2:
            return 0.0
        (began, before), (ended, after) = self._marks[0], self._marks[-1]
        return (after - before) / max(1e-9, (ended - began) * 1e-9)

    def age(self, now: int) -> float:
        """Seconds since the last message arrived; infinite before the first."""
        return (now - self.arrival) * 1e-9 if self.arrival else math.inf
