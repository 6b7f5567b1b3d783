"""A value that stays until another one has proved itself: one broken publisher changes nothing."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

AGREEING = 3
"""Pieces of evidence in a row that another value needs."""
PATIENCE = 1_000_000_000
"""ns over which they must come; twice as long after each change, for what changes often is broken,
until nothing else was told for a minute."""
_LONGEST = 60_000_000_000


class Proving(Generic[T]):
    """`known` is the value that counts, `candidate` another one that has been told.

    Times are arrivals, ns of a steady clock.
    """

    def __init__(self, known: T | None = None) -> None:
        self.known = known
        self.candidate: T | None = None
        self._evidence = 0
        self._since = 0
        self._patience = PATIENCE
        self._told = 0

    def offer(self, value: T, now: int) -> bool:
        """Somebody tells of a value; whether it is the known one now. The first is, at once."""
        if self.known is None or value == self.known:
            self.known = value
            self.doubt()
            return True
        if now - self._told > _LONGEST:
            self._patience = PATIENCE
        self._told = now
        if value != self.candidate:
            self.candidate, self._evidence, self._since = value, 0, now
        return self.support(now)

    def support(self, now: int) -> bool:
        """Something else agrees with the candidate; whether it has become the known one."""
        if self.candidate is None:
            return False
        self._evidence += 1
        if self._evidence < AGREEING or now - self._since < self._patience:
            return False
        self.known = self.candidate
        self._patience = min(2 * self._patience, _LONGEST)
        self.doubt()
        return True

    def doubt(self) -> None:
        """Something agrees with the known value: another one begins anew."""
        self.candidate, self._evidence = None, 0
