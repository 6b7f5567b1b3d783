"""Everything that a replay counts, frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from any2seg_ros.metrics import Confusion
from any2seg_ros.replay.fault_schedule import Fault, Interval, intervals
from any2seg_ros.replay.timeline import Timeline
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import subset_name, unmeasured


@dataclass
class IntervalCounts:
    """What is counted while the same faults are active."""

    interval: Interval
    masks: int = 0
    blind: int = 0
    confusion: Confusion | None = None


class ReplayTally:
    """Counts over a replay.

    blind: frames without a usable sensor. subsets: masks by the sensors that they were made from.
    unavailable: frames by sensor and why it was missing from them. scored: masks with ground truth.
    """

    def __init__(self, taxonomy: Taxonomy, faults: Sequence[Fault]) -> None:
        self.taxonomy = taxonomy
        self.frames = self.blind = self.scored = 0
        self.confidence = 0.0
        self.confusion = Confusion(taxonomy)
        self.subsets: Counter[str] = Counter()
        self.unavailable: Counter[str] = Counter()
        self.timeline = Timeline()
        self.intervals = [IntervalCounts(one) for one in intervals(faults)]

    @property
    def masks(self) -> int:
        """Frames that a mask was made from."""
        return self.frames - self.blind

    def add(self, result: Result, seconds: float, label: np.ndarray | None) -> Confusion | None:
        """Count a frame, `seconds` after the bag's start; label: its ground truth uint8 (h, w).

        Returns the confusion of this frame alone, None where it is not scored.
        """
        self.frames += 1
        interval = self._interval(seconds)
        for modality, reason in result.frame.reasons.items():
            if not result.frame.availability[modality].usable:
                self.unavailable[f"{modality.label}: {unmeasured(reason)}"] += 1
        found = result.segmentation
        if found is None:
            self.blind += 1
            interval.blind += 1
            self.timeline.add(seconds, None, None)
            return None
        self.subsets[subset_name(found.subset)] += 1
        self.confidence += float(found.confidence.mean())
        interval.masks += 1
        confusion = None
        if label is not None:
            confusion = Confusion(self.taxonomy).add(label, found.labels)
            self.scored += 1
            self.confusion += confusion
            if interval.confusion is None:
                interval.confusion = Confusion(self.taxonomy)
            interval.confusion += confusion
        self.timeline.add(seconds, found, confusion)
        return confusion

    def _interval(self, seconds: float) -> IntervalCounts:
        return next(one for one in self.intervals if seconds < one.interval.end)
