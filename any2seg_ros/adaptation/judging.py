"""Whether weights are better than others on the part of a drive that was held back, and no worse
on Streets. Nobody labelled the drive: what counts is how much sensors agree with each other, and
with what the first teacher was sure of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from any2seg_ros.adaptation.config import Margins
from any2seg_ros.engine import Segmenter
from any2seg_ros.metrics import Confusion
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.training.validation import predict, some_frames, together_and_alone
from any2seg_ros.types import Modality, Segmentation, Subset, largest, subset_name

DRIVE_FRAMES = 120
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
        """The sensors, one or several."""
        names = [name for name in self.sure_accuracy if "+" not in name]
        return names or [self.full]

    @property
    def best(self) -> str:
        """The sensor that alone sees most of what was sure: mostly, it was the teacher."""
        return max(self.alone, key=lambda name: self.sure_accuracy[name])

    @property
    def pupils(self) -> list[str]:
        """The other sensors; a single sensor is its own pupil."""
        return [name for name in self.alone if name != self.best] or self.alone

    @property
    def streets_full(self) -> float:
        """mIoU of all sensors together on Streets val."""
        return self.streets[largest(self.streets)]


def mean(table: Mapping[str, float], names: Iterable[str] | None = None) -> float:
    """Of these rows of a table, of all by default; NaN without any."""
    values = [table[name] for name in (table if names is None else names)]
    return float(np.mean(values)) if values else float("nan")


@dataclass
class _Counts:
    confusion: dict[Subset, Confusion]
    confidence: dict[Subset, list[float]]
    same: dict[tuple[Modality, Modality], list[float]] = field(default_factory=dict)


def judge(
    segmenter: Segmenter,
    held: CachedDataset,
    streets: Mapping[str, float],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Judgement:
    """Judge a network on the frames of `held` that have sensors; streets: see `Judgement`."""
    groups = held.class_groups(segmenter.taxonomy)
    subsets = together_and_alone(held.present)
    counts = _Counts({s: Confusion(len(groups)) for s in subsets}, {s: [] for s in subsets})
    chosen = some_frames(held, DRIVE_FRAMES)
    for done, (label, found) in enumerate(predict(segmenter, held, chosen, subsets), start=1):
        for subset, one in found.items():
            counts.confusion[subset].add(label, groups.seen(label, one.labels))
            counts.confidence[subset].append(float(one.confidence.mean()))
        _compare(counts, found)
        progress(done, len(chosen))
    return _judgement(counts, subsets[0], streets, len(chosen))


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


def gain(before: Judgement, after: Judgement) -> float:
    """What the best of several weights is chosen by, in points: how much more the sensors other
    than the best one see of what is sure, and how much more all agree, if there are two.

    By accuracy: the mIoU of what a teacher was sure of hangs on classes that it hardly ever saw.
    """
    pupils = before.pupils
    learned = mean(after.sure_accuracy, pupils) - mean(before.sure_accuracy, pupils)
    agreed = mean(after.agreement) - mean(before.agreement) if before.agreement else 0.0
    return learned + agreed


def losses(before: Judgement, after: Judgement, margins: Margins) -> list[str]:
    """What weights judged `after` lose of those judged `before`; empty if nothing that matters.

    What is unknown (NaN) is a reason; agreement is none where there are no two sensors.
    """

    def means(table: str, names: Iterable[str]) -> tuple[float, float]:
        names = list(names)
        return mean(getattr(before, table), names), mean(getattr(after, table), names)

    best = list(dict.fromkeys([before.best, before.full]))
    checks = {
        "all sensors on Streets val (mIoU)": (
            *(before.streets_full, after.streets_full),
            -margins.streets_full,
        ),
        "each sensor alone on Streets val (mean mIoU)": (
            *means("streets", (name for name in before.streets if "+" not in name)),
            -margins.streets_alone,
        ),
        f"{' and '.join(best)} on what was sure (accuracy)": (
            *means("sure_accuracy", best),
            -margins.teacher,
        ),
        f"confidence of {before.full}": (
            *means("confidence", [before.full]),
            -margins.confidence,
        ),
    }
    if before.agreement:
        agreement = means("agreement", before.agreement)
        checks["agreement between sensors"] = (*agreement, -margins.agreement)
    return _unmet(checks)


def reasons_against(before: Judgement, after: Judgement, margins: Margins) -> list[str]:
    """Why weights judged `after` are not to replace those judged `before`: what they lose, and that
    pupils learned too little; empty if they are."""
    learned = (mean(one.sure_accuracy, before.pupils) for one in (before, after))
    what = f"{', '.join(before.pupils)} alone on what was sure (mean accuracy)"
    return losses(before, after, margins) + _unmet({what: (*learned, margins.gain)})


def _unmet(checks: Mapping[str, tuple[float, ...]]) -> list[str]:
    """Those of which the new figure is not the old one and `least` more: old, new, least."""
    return [
        f"{what} went from {old:.1f} to {new:.1f}"
        for what, (old, new, least) in checks.items()
        if not new >= old + least
    ]
