"""How long one sensor's measurements may take to become images, before the others suffer."""

from __future__ import annotations

import math

_SECOND = 1_000_000_000
_LONGEST = 60 * _SECOND
_STRIKES = 3
"""Measurements in a row above the budget until the sensor is refused: the first ones of a sensor
make its tables."""
_GROSS = 4
"""So many budgets at once are `gross`."""


class DecodeBudget:
    """Refuses a sensor whose measurements take too long, for 1, 2, 4, ... 60 s.

    limit: processor seconds of one measurement, decoding and projection; 0 for no limit. name: of
    the parameter that says so. After 60 s without a fault the next refusal is short again.
    """

    def __init__(self, limit: float, name: str) -> None:
        self.gross = _GROSS * limit if limit else math.inf
        """Processor seconds that are too much already the first time."""
        self._limit = limit
        self._name = name
        self._strikes = 0
        self._interval = 0
        self._until = -2 * _LONGEST
        self._reason = ""

    def refusal(self, now: int) -> str:
        """Why the sensor is refused; empty if it is not. now: ns of a steady clock."""
        return self._reason if now < self._until else ""

    def spend(self, seconds: float, now: int, parts: int = 1) -> None:
        """Note what a measurement took, which counts for the next one. now: ns, steady clock.

        parts: packets of a video that had to be decoded for it, of which each is a measurement.
        """
        if not self._limit:
            return
        if seconds < self.gross:
            seconds /= parts
        if seconds <= self._limit:
            self._strikes = 0
            return
        self._strikes += 1
        if self._strikes < _STRIKES and seconds < self.gross:
            return
        fresh = now - self._until > _LONGEST
        self._interval = _SECOND if fresh else min(2 * self._interval, _LONGEST)
        self._until = now + self._interval
        self._reason = (
            f"refused for {self._interval // _SECOND} s: decoding took {seconds:.2f} s of "
            f"processor time, at most {self._limit:g} ({self._name})"
        )
