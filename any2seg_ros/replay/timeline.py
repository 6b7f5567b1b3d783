"""What happened over time, in a bounded number of buckets however long the bag is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from any2seg_ros.metrics import Confusion
from any2seg_ros.types import Modality, Segmentation

BUCKETS = 240


@dataclass
class Bucket:
    """A stretch of time: frames segmented, frames blind, and the sums behind the means."""

    frames: int = 0
    blind: int = 0
    confidence: float = 0.0
    weights: dict[Modality, float] = field(default_factory=dict)
    confusion: Confusion | None = None

    def merge(self, other: Bucket) -> None:
        """Add a neighbour's counts."""
        self.frames += other.frames
        self.blind += other.blind
        self.confidence += other.confidence
        for modality, weight in other.weights.items():
            self.weights[modality] = self.weights.get(modality, 0.0) + weight
        if self.confusion is None:
            self.confusion = other.confusion
        elif other.confusion is not None:
            self.confusion += other.confusion


class Timeline:
    """Buckets of equal width from second 0 on; when they are full, two become one."""

    def __init__(self, width: float = 0.5, buckets: int = BUCKETS) -> None:
        self.width = width
        self._limit = buckets
        self._buckets: dict[int, Bucket] = {}

    def add(
        self, seconds: float, segmentation: Segmentation | None, confusion: Confusion | None
    ) -> None:
        """Count a frame; `confusion` is its own, where there is ground truth."""
        seconds = max(seconds, 0.0)
        while int(seconds / self.width) >= self._limit:
            self._halve()
        bucket = self._buckets.setdefault(int(seconds / self.width), Bucket())
        if segmentation is None:
            bucket.blind += 1
            return
        one = Bucket(1, 0, float(segmentation.confidence.mean()), dict(segmentation.weights))
        if confusion is not None:
            one.confusion = Confusion(confusion.classes, confusion.matrix)
        bucket.merge(one)

    def rows(self) -> list[dict]:
        """One row a bucket in order: begin and end in s, rate in Hz, mIoU, confidence, weights.

        mIoU is None without ground truth, confidence without frames.
        """
        return [self._row(index, bucket) for index, bucket in sorted(self._buckets.items())]

    def _row(self, index: int, bucket: Bucket) -> dict:
        frames = bucket.frames
        return {
            "begin": index * self.width,
            "end": (index + 1) * self.width,
            "frames": frames,
            "blind": bucket.blind,
            "rate_hz": frames / self.width,
            "miou": bucket.confusion.miou() if bucket.confusion is not None else None,
            "confidence": bucket.confidence / frames if frames else None,
            "weights": {
                m.label: bucket.weights.get(m, 0.0) / frames if frames else 0.0 for m in Modality
            },
        }

    def _halve(self) -> None:
        old, self._buckets = self._buckets, {}
        self.width *= 2
        for index, bucket in sorted(old.items()):
            self._buckets.setdefault(index // 2, Bucket()).merge(bucket)


def series(rows: list[dict], key: str) -> tuple[list[float], list[float]]:
    """A curve over the middles of the buckets; NaN where a bucket has no value."""
    middles = [(row["begin"] + row["end"]) / 2 for row in rows]
    return middles, [float("nan") if row[key] is None else row[key] for row in rows]


def weight_series(rows: list[dict]) -> Mapping[str, tuple[list[float], list[float]]]:
    """A curve of mean weights a modality."""
    middles = [(row["begin"] + row["end"]) / 2 for row in rows]
    return {m.label: (middles, [row["weights"][m.label] for row in rows]) for m in Modality}
