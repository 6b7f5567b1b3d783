"""Everything that an evaluation counts: it adds up over frames, processes and machines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.metrics import Calibration, Confusion
from any2seg_ros.types import Modality, Segmentation, Subset, all_subsets


@dataclass
class Score:
    """What is counted for one subset."""

    confusion: Confusion
    calibration: Calibration

    def __iadd__(self, other: Score) -> Score:
        self.confusion += other.confusion
        self.calibration += other.calibration
        return self


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame worth showing: uint8 (h, w, 3) or (h, w) pictures by what they are."""

    miou: float
    name: str
    pictures: Mapping[str, np.ndarray]


@dataclass
class Extremes:
    """The best and the worst frames; equal ones in order of their names."""

    count: int = 3
    best: list[Shown] = field(default_factory=list)
    worst: list[Shown] = field(default_factory=list)

    def wanted(self, miou: float, name: str) -> bool:
        """Whether a frame would be kept: its pictures need not be made otherwise."""
        if math.isnan(miou) or not self.count:
            return False
        if len(self.best) < self.count:
            return True
        best, worst = self.best[-1], self.worst[-1]
        return (-miou, name) < (-best.miou, best.name) or (miou, name) < (worst.miou, worst.name)

    def add(self, shown: Shown) -> None:
        """Keep a frame if it is among the best or the worst."""
        self.best = sorted([*self.best, shown], key=lambda s: (-s.miou, s.name))[: self.count]
        self.worst = sorted([*self.worst, shown], key=lambda s: (s.miou, s.name))[: self.count]

    def __iadd__(self, other: Extremes) -> Extremes:
        for shown in (*other.best, *other.worst):
            if shown.name not in {s.name for s in self.best}:
                self.best = sorted([*self.best, shown], key=lambda s: (-s.miou, s.name))
            if shown.name not in {s.name for s in self.worst}:
                self.worst = sorted([*self.worst, shown], key=lambda s: (s.miou, s.name))
        self.best, self.worst = self.best[: self.count], self.worst[: self.count]
        return self


class Tally:
    """The counts of one evaluation, in one protocol, for every subset of the modalities.

    conditions: by condition or failure case, then by subset. rmm: by zeroed fraction, then by the
    subset that is intact. nm: by noise level, all modalities. left_out: frames by reason.
    examples: by reason, what is true of one of these frames alone, first in alphabetical order.
    """

    def __init__(
        self, groups: ClassGroups, modalities: Sequence[Modality] = tuple(Modality)
    ) -> None:
        self.groups = groups
        self.classes = classes = len(groups)
        self.modalities = tuple(sorted(modalities))
        self.frames = 0
        self.subsets = {
            s: Score(Confusion(classes), Calibration()) for s in all_subsets(self.modalities)
        }
        self.condition_frames: Counter[str] = Counter()
        self.conditions: dict[str, dict[Subset, Confusion]] = {}
        self.rmm: dict[float, dict[Subset, Confusion]] = {}
        self.nm: dict[str, Confusion] = {}
        self.left_out: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.extremes = Extremes()

    @property
    def full(self) -> Subset:
        """All modalities."""
        return self.modalities

    def add(
        self, label: np.ndarray, found: Mapping[Subset, Segmentation], conditions: Sequence[str]
    ) -> float:
        """Count one frame: the segmentation of every subset; its mIoU with all modalities."""
        self.frames += 1
        alone = {}
        for subset, segmentation in found.items():
            seen = self.groups.seen(label, segmentation.labels)
            alone[subset] = Confusion(self.classes).add(label, seen)
            score = self.subsets[subset]
            score.confusion += alone[subset]
            score.calibration.add(label, seen, segmentation.confidence)
        for condition in conditions:
            self.condition_frames[condition] += 1
            table = self.conditions.setdefault(condition, {})
            for subset, confusion in alone.items():
                if subset in table:
                    table[subset] += confusion
                else:
                    table[subset] = Confusion(self.classes, confusion.matrix)
        return alone[self.full].miou()

    def leave_out(self, reason: str, example: str = "") -> None:
        """Count a frame that cannot be scored, and why."""
        self.left_out[reason] += 1
        if example:
            self.examples[reason] = min(example, self.examples.get(reason, example))

    def add_rmm(
        self, label: np.ndarray, fraction: float, found: Mapping[Subset, Segmentation]
    ) -> None:
        """Count one frame in which the modalities outside each subset are partly zeroed."""
        table = self.rmm.setdefault(fraction, {})
        for subset, segmentation in found.items():
            seen = self.groups.seen(label, segmentation.labels)
            table.setdefault(subset, Confusion(self.classes)).add(label, seen)

    def add_nm(self, label: np.ndarray, level: str, found: Segmentation) -> None:
        """Count one frame with noise of a level on all modalities."""
        seen = self.groups.seen(label, found.labels)
        self.nm.setdefault(level, Confusion(self.classes)).add(label, seen)

    def __iadd__(self, other: Tally) -> Tally:
        if (self.groups, self.modalities) != (other.groups, other.modalities):
            raise ValueError("tallies of other classes or modalities do not add up")
        self.frames += other.frames
        self.left_out += other.left_out
        for reason, example in other.examples.items():
            self.examples[reason] = min(example, self.examples.get(reason, example))
        self.condition_frames += other.condition_frames
        for subset, score in other.subsets.items():
            self.subsets[subset] += score
        for condition, table in other.conditions.items():
            _merge(self.conditions.setdefault(condition, {}), table)
        for fraction, table in other.rmm.items():
            _merge(self.rmm.setdefault(fraction, {}), table)
        _merge(self.nm, other.nm)
        self.extremes += other.extremes
        return self


def _merge(mine: dict, others: Mapping) -> None:
    for key, confusion in others.items():
        mine[key] = mine[key] + confusion if key in mine else confusion
