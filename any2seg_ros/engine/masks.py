"""Logits at a fraction of the images' size to masks: labels and confidence of every pixel."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from any2seg_ros.loops import compiled


def masks(
    logits: np.ndarray, size: tuple[int, int], temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """logits float32 (K, h, w) -> labels uint8 (H, W), confidence float32 (H, W) in 0..1.

    Labels are the argmax of the logits upsampled to `size` (width, height). The confidence is the
    largest softmax of logits / temperature, at twice the size of the logits and upsampled from
    there: a fraction of the exponentials for a map that is smooth between them anyway.
    """
    logits = np.ascontiguousarray(logits, np.float32)
    return _labels(logits, size), _confidence(logits, size, temperature)


def group_confidence(
    logits: np.ndarray, members: np.ndarray, chosen: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """How sure it is that one of a group's classes is right, float32 (H, W) in 0..1: their sum.

    logits: float32 (K, h, w). members: bool (G, K), which classes a group has. chosen: uint8
    (H, W), the group that each pixel is asked about; 0 where it is none of the G. Sampled as in
    `masks`.
    """
    height, width = chosen.shape
    exponentials = _exponentials(np.ascontiguousarray(logits, np.float32), temperature)
    everything = exponentials.sum(0)
    sure = np.zeros((height, width), np.float32)
    for group, classes in enumerate(members):
        asked = chosen == group
        if asked.any():
            share = exponentials[classes].sum(0) / everything
            sure[asked] = cv2.resize(share, (width, height))[asked]
    return sure


def total(logits: np.ndarray) -> float:
    """Their sum, a hundredth of what masks cost; NaN or infinite if one of them is."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(logits.sum(dtype=np.float32))


def _labels(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The argmax of the logits upsampled as OpenCV does it, without upsampling most of them."""
    classes, height, width = logits.shape
    labels = np.empty(size[::-1], np.uint8)
    rows, down = _axis(height, size[1])
    columns, right = _axis(width, size[0])
    corners = np.ascontiguousarray(logits.transpose(1, 2, 0))
    _fill(corners, rows, down, columns, right, labels)
    return labels


@lru_cache(maxsize=32)
def _axis(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the cells between logits begin among `target` pixels, int (source + 2,), and how far
    each pixel is from its cell's first corner to the second, float32 (target,)."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    before = np.floor(position)
    begins = np.searchsorted(before, np.arange(-1, source + 1))
    return begins, (position - before).astype(np.float32)


@compiled
def _fill(
    corners: np.ndarray,
    rows: np.ndarray,
    down: np.ndarray,
    columns: np.ndarray,
    right: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Labels (H, W) of corners (h, w, K), cell by cell.

    Bilinear interpolation stays between its corners: a class whose largest corner is below
    another's smallest one wins nowhere in a cell. Mostly one class is left, and nothing has to be
    interpolated; where several are, the first of equal ones wins, as in NumPy's argmax.
    """
    height, width, classes = corners.shape
    may_win = np.empty(classes, np.int64)
    best = np.empty(labels.shape[1], np.float32)
    one = np.float32(1)
    for i in range(height + 1):
        top, bottom = max(i - 1, 0), min(i, height - 1)
        for j in range(width + 1):
            left, far = max(j - 1, 0), min(j, width - 1)
            a, b = corners[top, left], corners[top, far]
            c, d = corners[bottom, left], corners[bottom, far]
            floor = -np.float32(np.inf)
            for k in range(classes):
                floor = max(floor, min(min(a[k], b[k]), min(c[k], d[k])))
            count = 0
            for k in range(classes):
                if not max(max(a[k], b[k]), max(c[k], d[k])) < floor:
                    may_win[count] = k
                    count += 1
            begin, end = columns[j], columns[j + 1]
            for y in range(rows[i], rows[i + 1]):
                labels[y, begin:end] = may_win[0]
                if count == 1:
                    continue
                v = down[y]
                best[begin:end] = -np.float32(np.inf)
                for n in range(count):
                    k = may_win[n]
                    for x in range(begin, end):
                        u = right[x]
                        above = a[k] * (one - u) + b[k] * u
                        below = c[k] * (one - u) + d[k] * u
                        value = above * (one - v) + below * v
                        if value > best[x]:
                            best[x] = value
                            labels[y, x] = k


def _confidence(logits: np.ndarray, size: tuple[int, int], temperature: float) -> np.ndarray:
    exponentials = _exponentials(logits, temperature)  # of the largest: 1
    return cv2.resize(1 / exponentials.sum(0), size, interpolation=cv2.INTER_LINEAR)


def _exponentials(logits: np.ndarray, temperature: float) -> np.ndarray:
    """exp((logits - largest) / temperature), float32 (K, 2h, 2w): softmax times a common factor."""
    classes, height, width = logits.shape
    planes = np.empty((classes, 2 * height, 2 * width), np.float32)
    for plane, small in zip(planes, logits * np.float32(1 / temperature), strict=True):
        cv2.resize(small, (2 * width, 2 * height), dst=plane, interpolation=cv2.INTER_LINEAR)
    planes -= planes.max(0)
    flat = planes.reshape(classes, -1)
    cv2.exp(flat, dst=flat)
    return planes
