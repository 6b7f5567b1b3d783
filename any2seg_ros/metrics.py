"""Metrics that add up: integer counts that merge to the same result in whatever order."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import IGNORE

BINS = 15
"""Bins of the reliability diagram, as usual for the expected calibration error."""

CELLS_PER_BIN = 1024
COARSE = 32
"""Cells per bin where many tables are counted: the calibration error is known to 1e-3."""


class Confusion:
    """Counts of pixels by (label, prediction), int64 (K, K + 1).

    Rows are labels, columns predictions; the last column holds labelled pixels to which the
    prediction gave no class. Pixels labelled 255 are not counted.
    """

    def __init__(self, classes: int | Taxonomy, matrix: np.ndarray | None = None) -> None:
        self.classes = classes if isinstance(classes, int) else len(classes)
        shape = (self.classes, self.classes + 1)
        self.matrix = np.zeros(shape, np.int64) if matrix is None else np.array(matrix, np.int64)
        if self.matrix.shape != shape:
            raise ValueError(f"a confusion matrix of {self.classes} classes has shape {shape}")

    def add(self, labels: np.ndarray, prediction: np.ndarray) -> Confusion:
        """Count one image: labels and prediction uint8 (H, W); returns self.

        ValueError where the shapes differ or a label is neither a class nor 255.
        """
        if labels.shape != prediction.shape:
            raise ValueError(f"labels {labels.shape} and prediction {prediction.shape} differ")
        wrong = no_class(labels, self.classes)
        if wrong is not None:
            raise ValueError(f"label {wrong} is not one of {self.classes} classes nor {IGNORE}")
        seen = np.minimum(prediction, np.uint8(self.classes))
        shape = [self.classes, self.classes + 1]
        # Values outside the ranges, as the ignored label is, are not counted by calcHist.
        ranges = [0, shape[0], 0, shape[1]]
        pair = [np.ascontiguousarray(labels), np.ascontiguousarray(seen)]
        self.matrix += cv2.calcHist(pair, [0, 1], None, shape, ranges).astype(np.int64)
        return self

    def __iadd__(self, other: Confusion) -> Confusion:
        self.matrix += other.matrix
        return self

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.classes, self.matrix + other.matrix)

    @property
    def pixels(self) -> int:
        """The number of labelled pixels counted."""
        return int(self.matrix.sum())

    @property
    def present(self) -> np.ndarray:
        """Which classes occur in the labels, bool (K,)."""
        return self.matrix.sum(axis=1) > 0

    def iou(self) -> np.ndarray:
        """Intersection over union by class in percent, float64 (K,); NaN where no label has it."""
        inside = self.matrix.diagonal().astype(np.float64)
        union = self.matrix.sum(axis=1) + self.matrix[:, : self.classes].sum(axis=0) - inside
        return np.where(self.present, 100.0 * inside / np.maximum(union, 1.0), np.nan)

    def miou(self, absent_counts_zero: bool = False) -> float:
        """Mean IoU in percent over the classes present in the labels; NaN without any label.

        With `absent_counts_zero`, over all classes, an absent one counting 0: the convention of
        the published DELIVER tables.
        """
        if not self.present.any():
            return float("nan")
        iou = self.iou()
        if absent_counts_zero:
            return float(np.nan_to_num(iou, nan=0.0).mean())
        return float(iou[self.present].mean())

    def accuracy(self) -> float:
        """Percent of the labelled pixels that have the right class; NaN without any label."""
        return 100.0 * float(self.matrix.diagonal().sum()) / self.pixels if self.pixels else np.nan


class Calibration:
    """Does confidence mean what it says? Counts of wrong and right pixels by confidence.

    int64 (2, 15 x 1024): the confidence is known to 1 / 15360, which bounds the error of the
    expected calibration error by 4e-5, and the counts are integers: merging is exact. `per_bin`:
    fewer cells than 1024 in each of the 15 bins.
    """

    def __init__(self, counts: np.ndarray | None = None, per_bin: int = CELLS_PER_BIN) -> None:
        shape = (2, BINS * per_bin)
        self.counts = np.zeros(shape, np.int64) if counts is None else np.array(counts)

    @property
    def cells(self) -> int:
        """How many steps the confidence is known to."""
        return self.counts.shape[1]

    def add(
        self, labels: np.ndarray, prediction: np.ndarray, confidence: np.ndarray
    ) -> Calibration:
        """Count one image: labels, prediction uint8 (H, W), confidence float32 (H, W) in 0..1.

        Pixels labelled 255 are not counted; returns self.
        """
        cells = self.cells
        highest = np.float32(cells - 0.5)
        cell = np.clip(confidence * np.float32(cells), 0, highest).astype(np.uint16)
        cell += (labels == prediction) * np.uint16(cells)
        ignored = labels == IGNORE
        cell[ignored] = 2 * cells
        counts = np.bincount(cell.ravel(), minlength=2 * cells + 1)[:-1]
        self.counts += counts.reshape(2, cells)
        return self

    def __iadd__(self, other: Calibration) -> Calibration:
        self.counts += other.counts
        return self

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(self.counts + other.counts)

    def coarser(self, per_bin: int = COARSE) -> Calibration:
        """The same pixels in fewer cells; ValueError where these are not whole multiples."""
        return Calibration(self.counts.reshape(2, BINS * per_bin, -1).sum(-1))

    def reliability(self) -> list[dict[str, float]]:
        """Per bin: `pixels`, mean `confidence` and `accuracy` in 0..1 (NaN where it is empty)."""
        centres = (np.arange(self.cells) + 0.5) / self.cells
        total = self.counts.sum(axis=0)
        pixels = total.reshape(BINS, -1).sum(axis=1)
        right = self.counts[1].reshape(BINS, -1).sum(axis=1)
        sure = (total * centres).reshape(BINS, -1).sum(axis=1)
        with np.errstate(invalid="ignore"):
            confidence, accuracy = sure / pixels, right / pixels
        return [
            {"pixels": int(n), "confidence": float(c), "accuracy": float(a)}
            for n, c, a in zip(pixels, confidence, accuracy, strict=True)
        ]

    def ece(self) -> float:
        """Expected calibration error in 0..1 (Naeini et al., AAAI 2015): the mean over pixels of
        |accuracy - confidence| of their bin, 15 bins of equal width; NaN without pixels."""
        total = int(self.counts.sum())
        if not total:
            return float("nan")
        bins = [b for b in self.reliability() if b["pixels"]]
        gaps = (b["pixels"] * abs(b["accuracy"] - b["confidence"]) for b in bins)
        return sum(gaps) / total

    def risk_coverage(self, points: int = 51) -> tuple[np.ndarray, np.ndarray]:
        """Error rate among the surest pixels, by the share of pixels kept; two float64 (points,).

        Coverage goes from nearly 0 to 1; risk at coverage c is the error among the c surest.
        """
        coverage, risk = self._risks()
        if not len(coverage):
            return np.empty(0), np.empty(0)
        wanted = np.linspace(0.0, 1.0, points)
        return wanted, np.interp(wanted, coverage, risk)

    def area_under_risk(self) -> float:
        """Area under the risk-coverage curve in 0..1, smaller is better; NaN without pixels."""
        coverage, risk = self._risks()
        if not len(coverage):
            return float("nan")
        steps = np.diff(coverage, prepend=0.0)
        return float((steps * risk).sum())

    def _risks(self) -> tuple[np.ndarray, np.ndarray]:
        kept = self.counts[:, ::-1].cumsum(axis=1)
        total = kept.sum(axis=0)
        some = self.counts[:, ::-1].sum(axis=0) > 0
        if not some.any():
            return np.empty(0), np.empty(0)
        return total[some] / total[-1], kept[0][some] / total[some]


def mean_and_worst(miou: Mapping[str, float]) -> tuple[float, dict[str, object]]:
    """Plain mean over the subsets, and `{subset, miou}` of the worst one."""
    worst = min(miou, key=lambda name: (miou[name], name))
    return float(np.mean(list(miou.values()))), {"subset": worst, "miou": miou[worst]}


def no_class(labels: np.ndarray, classes: int) -> int | None:
    """A label uint8 that is neither one of so many classes nor 255; None where all are."""
    found = labels.max(initial=0)
    if found >= classes:
        found = labels.max(initial=0, where=labels != IGNORE)
    return int(found) if found >= classes else None
