"""Statistics of one sensor's messages: rate, age, and why some were refused."""

from __future__ import annotations

import math
from collections import deque

_SPAN = 2_000_000_000
_LOG_EVERY = 1_000_000_000


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
        self._logged = -_LOG_EVERY

    def on_message(self, now: int) -> None:
        """A message has arrived."""
        self.count += 1
        self.arrival = now

    def refuse(self, reason: str, now: int) -> bool:
        """A message was refused; returns whether to log it (at most once a second)."""
        self.refused += 1
        self.reason = reason
        self.reason_at = now
        if now - self._logged < _LOG_EVERY:
            return False
        self._logged = now
        return True

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
