"""Whether weights are better than others on the part of a drive that was held back, and no worse
on Streets. Nobody labelled the drive: what counts is how much sensors agree with each other, and
with what the first teacher was sure of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from any2seg_ros.adaptation.config import Margins
from any2seg_ros.engine import Segmenter
from any2seg_ros.metrics import Confusion
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.training.validation import encode, evenly_spread, validate
from any2seg_ros.types import Modality, Segmentation, Subset, subset_name

MARGINS = Margins()
STREETS_FRAMES, DRIVE_FRAMES = 60, 120
"""Frames that are judged at most, evenly spread."""


@dataclass(frozen=True)
class Judgement:
    """In percent, by subset name where there is one: each sensor alone, and all together.

    sure_accuracy and sure_miou: of the pixels that the first teacher was sure of, or that other
    labels are given for. agreement: pixels on which two sensors, each alone, see the same class, by
    pair. confidence: its mean. streets: mIoU on Streets val.
    """

    full: str
    sure_accuracy: Mapping[str, float]
    sure_miou: Mapping[str, float]
    agreement: Mapping[str, float]
    confidence: Mapping[str, float]
    streets: Mapping[str, float]
    frames: int = 0

    @property
    def alone(self) -> list[str]:
        """The sensors."""
        return [name for name in self.sure_accuracy if name != self.full]

    def mean(self, table: Mapping[str, float], names: list[str] | None = None) -> float:
        """Of the sensors alone, or of these rows."""
        values = [table[name] for name in (self.alone if names is None else names)]
        return float(np.mean(values)) if values else float("nan")

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Judgement:
        """From what `dataclasses.asdict` made of one."""
        return cls(**words)


@dataclass
class _Counts:
    confusion: dict[Subset, Confusion]
    confidence: dict[Subset, list[float]]
    same: dict[tuple[Modality, Modality], list[float]] = field(default_factory=dict)


def judge(
    segmenter: Segmenter,
    held: CachedDataset,
    streets: CachedDataset,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Judgement:
    """Judge a network on the frames of `held` that have sensors, and on Streets val."""
    groups = held.class_groups(segmenter.taxonomy)
    sensors = tuple(m for m in Modality if held.present[:, m].any())
    subsets: list[Subset] = list(dict.fromkeys([*((m,) for m in sensors), sensors]))
    counts = _Counts({s: Confusion(len(groups)) for s in subsets}, {s: [] for s in subsets})
    frames = np.flatnonzero(held.present.any(1))
    chosen = frames[evenly_spread(len(frames), DRIVE_FRAMES)]
    for done, index in enumerate(chosen, start=1):
        maps = encode(segmenter, held, int(index))
        label = np.asarray(held.labels[index])
        given = {s: {m: maps[m] for m in s if m in maps} for s in subsets}
        given = {s: one for s, one in given.items() if one}
        found = segmenter.fuse_all(list(given.values()), label.shape[::-1])
        for subset, one in zip(given, found, strict=True):
            counts.confusion[subset].add(label, groups.seen(label, one.labels))
            counts.confidence[subset].append(float(one.confidence.mean()))
        _compare(counts, dict(zip(given, found, strict=True)))
        progress(done, len(chosen))
    return _judgement(counts, sensors, validate(segmenter, streets, STREETS_FRAMES), len(chosen))


def _compare(counts: _Counts, found: Mapping[Subset, Segmentation]) -> None:
    alone = {s[0]: one.labels for s, one in found.items() if len(s) == 1}
    for a, b in combinations(sorted(alone), 2):
        same = float((alone[a] == alone[b]).mean())
        counts.same.setdefault((a, b), []).append(same)


def _judgement(
    counts: _Counts, sensors: Subset, streets: Mapping[str, float], frames: int
) -> Judgement:
    def rounded(table: Mapping[Subset, float]) -> dict[str, float]:
        return {subset_name(s): round(value, 2) for s, value in table.items()}

    return Judgement(
        subset_name(sensors),
        rounded({s: c.accuracy() for s, c in counts.confusion.items()}),
        rounded({s: c.miou() for s, c in counts.confusion.items()}),
        rounded({pair: 100 * float(np.mean(v)) for pair, v in counts.same.items()}),
        rounded({s: 100 * float(np.mean(v)) for s, v in counts.confidence.items() if v}),
        dict(streets),
        frames,
    )


def score(judgement: Judgement) -> float:
    """What the best of several weights is chosen by: how much of what is sure the sensors see, each
    alone and all together."""
    names = list(judgement.sure_miou)
    return judgement.mean(judgement.sure_miou, names) + judgement.mean(
        judgement.sure_accuracy, names
    )


def losses(before: Judgement, after: Judgement, margins: Margins = MARGINS) -> list[str]:
    """Why weights judged `after` are not to replace those judged `before`; empty if they are."""
    full, alone = before.full, before.alone
    all_of_streets = max(before.streets, key=lambda name: name.count("+"))
    streets_alone = [name for name in before.streets if "+" not in name]
    pairs = list(before.agreement)
    checks = [
        (
            "all sensors on Streets val (mIoU)",
            before.streets[all_of_streets],
            after.streets[all_of_streets],
            margins.streets_full,
        ),
        (
            "each sensor alone on Streets val (mean mIoU)",
            before.mean(before.streets, streets_alone),
            after.mean(after.streets, streets_alone),
            margins.streets_alone,
        ),
        (
            f"{full} on the pixels that the teacher was sure of (accuracy)",
            before.sure_accuracy[full],
            after.sure_accuracy[full],
            margins.full,
        ),
        (
            f"confidence of {full}",
            before.confidence[full],
            after.confidence[full],
            margins.confidence,
        ),
        (
            "agreement between the sensors",
            before.mean(before.agreement, pairs),
            after.mean(after.agreement, pairs),
            0.0,
        ),
        (
            "each sensor alone on the pixels that the teacher was sure of (mean mIoU)",
            before.mean(before.sure_miou, alone),
            after.mean(after.sure_miou, alone),
            0.0,
        ),
    ]
    return [
        f"{what} went from {old:.1f} to {new:.1f}"
        for what, old, new, margin in checks
        if new < old - margin or (not margin and new <= old)
    ]
