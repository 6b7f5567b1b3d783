"""Tells floods of a topic, so that it can be left alone: what is not subscribed to costs nothing.

What it costs to receive a message is spent before any callback could refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from any2seg_ros.runtime.event_stream import EVENT_COST

PAUSE_S = 0.7
"""For which a flooded topic is left alone; so soon after a flood, messages are taken again."""
_BURST_S = 0.1
_PROOF = 100_000_000
"""ns from the first message after a pause, in which a flood that goes on is found."""


@dataclass(frozen=True)
class FloodLimits:
    """What is no flood; 0 for no limit."""

    messages: float
    """A second, of which `burst` may come at once: no sensor is as fast."""
    burst: int
    megabytes: float = 0.0
    """MB/s, for longer than 0.1 s."""
    largest: float = 0.0
    """MB of one message, which may come at once as well."""
    parameter: str = ""
    """What sets `megabytes`, for people."""


class _Bucket:
    """Leaks at `rate` a second; full with `burst`."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate * 1e-9, burst
        self._level, self._at = 0.0, 0

    def add(self, amount: float, now: int) -> bool:
        """Whether it overflows."""
        if not self._rate:
            return False
        self._level = max(0.0, self._level - max(0, now - self._at) * self._rate) + amount
        self._at = now
        return self._level > self._burst

    def begin_anew(self, share: float, now: int) -> None:
        """Full to a share: so much sooner is a flood found that goes on."""
        self._level, self._at = share * self._burst, now


class FloodGuard:
    """Counts the messages of one topic; belongs to the executor's thread."""

    def __init__(self, limits: FloodLimits) -> None:
        self._limits = limits
        self._messages = _Bucket(limits.messages, limits.burst)
        self._bytes = _Bucket(
            limits.megabytes * 1e6, max(_BURST_S * limits.megabytes, limits.largest) * 1e6
        )
        self.proving = False
        """Whether it has to be seen yet that a flood is over: messages are counted and dropped."""
        self._proven_at = 0

    def refusal(self, size: int, now: int) -> str:
        """Why the topic is to be left alone, empty if it is not; now: ns of a steady clock.

        size: bytes of the message that came.
        """
        many = self._messages.add(1, now)
        heavy = self._bytes.add(size, now)
        if self.proving:
            self._proven_at = self._proven_at or now + _PROOF
            self.proving = now < self._proven_at
        if not (many or heavy):
            return ""
        if many:
            return f"flooded: not listened to while above {self._limits.messages:g} messages/s"
        hint = f" ({self._limits.parameter})" if self._limits.parameter else ""
        return f"flooded: not listened to while above {self._limits.megabytes:g} MB/s{hint}"

    def resume(self, now: int) -> None:
        """The topic is listened to again; now: ns of a steady clock."""
        self._messages.begin_anew(0.8, now)
        self._bytes.begin_anew(0.5, now)  # one large packet still has room
        self.proving, self._proven_at = True, 0


def size_of(message: Any) -> int:
    """Bytes of a message, as far as they matter: of its data or events; 0 of others."""
    data = message if isinstance(message, bytes) else getattr(message, "data", None)
    if data is not None:
        return len(data)
    events = getattr(message, "events", ())
    return len(events) * (1 if hasattr(message, "encoding") else EVENT_COST)
