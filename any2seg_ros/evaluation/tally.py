"""All counts of an evaluation; they add up over frames, processes and machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from any2seg_ros.html.gallery import BestAndWorst
from any2seg_ros.metrics import COARSE, Calibration, Confusion
from any2seg_ros.types import Modality, Segmentation, Subset, all_subsets


@dataclass
class Score:
    """The counts of one subset."""

    confusion: Confusion
    calibration: Calibration

    @classmethod
    def coarse(cls, classes: int) -> Score:
        """One of many tables: as `COARSE` says."""
        return cls(Confusion(classes), Calibration(per_bin=COARSE))

    def add(self, label: np.ndarray, found: Segmentation) -> Score:
        """Count one frame, label uint8 (h, w); returns self."""
        self.confusion.add(label, found.labels)
        self.calibration.add(label, found.labels, found.confidence)
        return self

    def miou(self) -> float:
        """In percent, see `Confusion.miou`."""
        return self.confusion.miou()

    def ece(self) -> float:
        """In 0..1, see `Calibration.ece`."""
        return self.calibration.ece()

    def coarser(self) -> Score:
        """The same counts, as `coarse` has them."""
        return Score(self.confusion, self.calibration.coarser())

    def __add__(self, other: Score) -> Score:
        return Score(self.confusion + other.confusion, self.calibration + other.calibration)

    def __iadd__(self, other: Score) -> Score:
        self.confusion += other.confusion
        self.calibration += other.calibration
        return self


class Tally:
    """The counts of one evaluation, in one protocol, for every subset of the modalities.

    conditions: by condition or failure case, then by subset. rmm: by zeroed fraction, then by the
    subset that is left intact. nm: by noise level, with all modalities; noise: likewise, with
    clipped noise. left_out: number of skipped frames by reason. examples: by reason, details of one
    such frame, the alphabetically first. gallery: the best and the worst frames by mIoU with all
    modalities.
    """

    def __init__(self, classes: int, modalities: Sequence[Modality] = tuple(Modality)) -> None:
        self.classes = classes
        self.modalities = tuple(sorted(modalities))
        self.frames = 0
        self.subsets = {
            s: Score(Confusion(classes), Calibration()) for s in all_subsets(self.modalities)
        }
        self.condition_frames: Counter[str] = Counter()
        self.conditions: dict[str, dict[Subset, Score]] = {}
        self.rmm: dict[float, dict[Subset, Score]] = {}
        self.nm: dict[str, Score] = {}
        self.noise: dict[str, Score] = {}
        self.left_out: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.gallery = BestAndWorst()

    @property
    def full(self) -> Subset:
        """All modalities."""
        return self.modalities

    def add(
        self, label: np.ndarray, found: Mapping[Subset, Segmentation], conditions: Sequence[str]
    ) -> float:
        """Count one frame, given the segmentation of every subset.

        label: uint8 (h, w). Returns the frame's mIoU with all modalities, in percent.
        """
        self.frames += 1
        of_frame = {
            s: Score(Confusion(self.classes), Calibration()).add(label, segmentation)
            for s, segmentation in found.items()
        }
        for subset, score in of_frame.items():
            self.subsets[subset] += score
        coarser = {s: score.coarser() for s, score in of_frame.items()} if conditions else {}
        for condition in conditions:
            self.condition_frames[condition] += 1
            _merge(self.conditions.setdefault(condition, {}), coarser)
        return of_frame[self.full].miou()

    def leave_out(self, reason: str, example: str = "") -> None:
        """Count a frame that is skipped because it cannot be scored."""
        self.left_out[reason] += 1
        if example:
            self.examples[reason] = min(example, self.examples.get(reason, example))

    def add_rmm(
        self, label: np.ndarray, fraction: float, found: Mapping[Subset, Segmentation]
    ) -> None:
        """Count one frame in which the modalities outside each subset were partly zeroed."""
        table = self.rmm.setdefault(fraction, {})
        for subset, segmentation in found.items():
            table.setdefault(subset, Score.coarse(self.classes)).add(label, segmentation)

    def add_nm(self, label: np.ndarray, level: str, found: Segmentation) -> None:
        """Count one frame with noise of one level on all modalities."""
        self.nm.setdefault(level, Score.coarse(self.classes)).add(label, found)

    def add_noise(self, label: np.ndarray, level: str, found: Segmentation) -> None:
        """Count one frame with clipped noise of a level on all modalities."""
        self.noise.setdefault(level, Score.coarse(self.classes)).add(label, found)

    def __iadd__(self, other: Tally) -> Tally:
        if (self.classes, self.modalities) != (other.classes, other.modalities):
            raise ValueError("cannot add tallies of different classes or modalities")
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
        _merge(self.noise, other.noise)
        self.gallery += other.gallery
        return self


def _merge(mine: dict, others: Mapping) -> None:
    """Add up by key; sums are new, for what was added may be part of another tally."""
    for key, score in others.items():
        mine[key] = mine[key] + score if key in mine else score
