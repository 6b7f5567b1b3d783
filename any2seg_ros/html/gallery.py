"""Which frames a report shows, a bounded number of them however many there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A frame worth showing: its pictures, uint8 (h, w, 3) or (h, w), by what they are.

    score: what frames are ranked by, an mIoU in percent or a mean confidence. group: of the frames
    of one group only the best and the worst are shown, so that neighbours in time do not fill the
    report; by default each frame is a group of its own.
    """

    score: float
    name: str
    pictures: Mapping[str, np.ndarray]
    group: str = ""

    @property
    def place(self) -> str:
        """The group, or the frame itself."""
        return self.group or self.name


@dataclass
class BestAndWorst:
    """The frames of highest and of lowest score; equal ones in order of their names."""

    count: int = 3
    best: list[ShownFrame] = field(default_factory=list)
    worst: list[ShownFrame] = field(default_factory=list)

    def wants(self, score: float, name: str, group: str = "") -> bool:
        """Whether `add` would keep such a frame; otherwise its pictures need not be made."""
        if math.isnan(score):
            return False
        frame = ShownFrame(score, name, {}, group)
        return frame in self._best([*self.best, frame]) or frame in self._worst(
            [*self.worst, frame]
        )

    def add(self, frame: ShownFrame) -> None:
        """Keep the frame if it is among the best or the worst."""
        self.best = self._best([*self.best, frame])
        self.worst = self._worst([*self.worst, frame])

    def __iadd__(self, other: BestAndWorst) -> BestAndWorst:
        self.best = self._best([*self.best, *other.best])
        self.worst = self._worst([*self.worst, *other.worst])
        return self

    def _best(self, frames: list[ShownFrame]) -> list[ShownFrame]:
        return self._first(sorted(frames, key=lambda one: (-one.score, one.name)))

    def _worst(self, frames: list[ShownFrame]) -> list[ShownFrame]:
        return self._first(sorted(frames, key=lambda one: (one.score, one.name)))

    def _first(self, ordered: list[ShownFrame]) -> list[ShownFrame]:
        """The first frame of each of the first `count` groups."""
        groups: dict[str, ShownFrame] = {}
        for frame in ordered:
            groups.setdefault(frame.place, frame)
        return list(groups.values())[: self.count]


T = TypeVar("T")


class FilmStrip(Generic[T]):
    """One frame every `period` seconds; when there are more than `limit`, the period doubles."""

    def __init__(self, period: float = 1.0, limit: int = 24) -> None:
        self.period = period
        self.limit = limit
        self._frames: dict[int, T] = {}

    @property
    def frames(self) -> list[T]:
        """What was kept, in order of time."""
        return [frame for _, frame in sorted(self._frames.items())]

    def wants(self, seconds: float) -> bool:
        """Whether there is no frame yet for this time, in s after the beginning."""
        return self._index(seconds) not in self._frames

    def add(self, seconds: float, frame: T) -> None:
        """Keep a frame if there is none yet for its time."""
        self._frames.setdefault(self._index(seconds), frame)
        while len(self._frames) > self.limit:
            self.period *= 2
            kept: dict[int, T] = {}
            for index, one in sorted(self._frames.items()):
                kept.setdefault(index // 2, one)
            self._frames = kept

    def _index(self, seconds: float) -> int:
        return int(max(seconds, 0.0) / self.period)
