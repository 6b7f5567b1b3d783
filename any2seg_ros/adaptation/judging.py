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

    def mean(self, table: Mapping[str, float], names: Iterable[str] | None = None) -> float:
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


def gain(before: Judgement, after: Judgement) -> float:
    """What the best of several weights is chosen by, in points: how much more the sensors other
    than the best one see of what is sure, and how much more all agree, if there are two."""
    learned = after.mean(after.sure_miou, before.pupils) - before.mean(
        before.sure_miou, before.pupils
    )
    agreed = after.mean(after.agreement) - before.mean(before.agreement)
    return learned + (agreed if before.agreement else 0.0)


def losses(before: Judgement, after: Judgement, margins: Margins = MARGINS) -> list[str]:
    """Why weights judged `after` are not to replace those judged `before`; empty if they are.

    What is unknown (NaN) is a reason; agreement is none where there are no two sensors.
    """

    def means(table: str, names: list[str]) -> tuple[float, float]:
        return tuple(one.mean(getattr(one, table), names) for one in (before, after))  # type: ignore[return-value]

    all_of_streets = max(before.streets, key=lambda name: name.count("+"))
    best = [before.best, before.full]
    checks = {
        "all sensors on Streets val (mIoU)": (
            *means("streets", [all_of_streets]),
            -margins.streets_full,
        ),
        "each sensor alone on Streets val (mean mIoU)": (
            *means("streets", [name for name in before.streets if "+" not in name]),
            -margins.streets_alone,
        ),
        f"{' and '.join(dict.fromkeys(best))} on what was sure (accuracy)": (
            *means("sure_accuracy", best),
            -margins.teacher,
        ),
        f"confidence of {before.full}": (
            *means("confidence", [before.full]),
            -margins.confidence,
        ),
        f"{', '.join(before.pupils)} alone on what was sure (mean mIoU)": (
            *means("sure_miou", before.pupils),
            margins.gain,
        ),
    }
    if before.agreement:
        agreement = means("agreement", list(before.agreement))
        checks["agreement between sensors"] = (*agreement, -margins.agreement)
    return [
        f"{what} went from {old:.1f} to {new:.1f}"
        for what, (old, new, least) in checks.items()
        if not new >= old + least
    ]
