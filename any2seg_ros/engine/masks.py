"""Logits at a fraction of the images' size to masks: labels and confidence of every pixel."""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import cv2
import numpy as np

_SQUARE = np.ones((2, 2), np.uint8)


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


def _labels(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The argmax; each class is upsampled only in the rows in which it may win."""
    width, height = size
    best = np.full((height, width), -np.inf, np.float32)
    labels = np.zeros((height, width), np.uint8)
    spare, spare_bytes = np.empty_like(best), np.empty_like(labels)
    candidates = _candidates(logits)
    bands = _bands(candidates, logits.shape[1], height)
    for k in np.flatnonzero(candidates.any(1)).tolist():
        band = bands[k]
        large = spare[: band.height]
        part = logits[k, band.source]
        cv2.resize(part, (width, band.height), dst=large, interpolation=cv2.INTER_LINEAR)
        plane, rows = large[band.kept], band.target
        nearer = spare_bytes[: len(plane)]
        np.greater(plane, best[rows], out=nearer.view(bool))
        # Classes come in order: the latest to win has the largest number.
        nearer *= np.uint8(k)
        np.maximum(labels[rows], nearer, out=labels[rows])
        np.maximum(best[rows], plane, out=best[rows])
    return labels


def _candidates(logits: np.ndarray) -> np.ndarray:
    """Which classes may win between a row of logits and the next, bool (K, h - 1).

    Bilinear interpolation stays between its corners: a class whose largest corner is below
    another's smallest one wins nowhere between them.
    """
    classes, height, width = logits.shape
    smallest, largest = (
        of(
            logits.reshape(-1, width), _SQUARE, anchor=(0, 0), borderType=cv2.BORDER_REPLICATE
        ).reshape(logits.shape)[:, : max(height - 1, 1)]
        for of in (cv2.erode, cv2.dilate)
    )
    return (largest >= smallest.max(0)).any(2)


class _Band(NamedTuple):
    """Rows: those of `source` are upsampled to `height`, of which `kept` are `target`."""

    source: slice
    height: int
    kept: slice
    target: slice


def _bands(wanted: np.ndarray, source: int, target: int) -> list[_Band]:
    """From the first to the last row that each class (K, source - 1) is wanted behind.

    A band begins and ends where rows of both rasters do, so that it has the very interpolation
    of the whole; one such step more on either side keeps it from the border.
    """
    steps = gcd(source, target)
    small, large = source // steps, target // steps
    count = wanted.shape[1]
    first = (2 * wanted.argmax(1) + 1) // (2 * small)
    last = (2 * (count - wanted[:, ::-1].argmax(1)) + 1) // (2 * small)
    bands = []
    for begin, end in zip(first.tolist(), np.minimum(last + 1, steps).tolist(), strict=True):
        low, high = max(begin - 1, 0), min(end + 1, steps)
        band = _Band(
            slice(low * small, high * small),
            (high - low) * large,
            slice((begin - low) * large, (end - low) * large),
            slice(begin * large, end * large),
        )
        bands.append(band)
    return bands


def _confidence(logits: np.ndarray, size: tuple[int, int], temperature: float) -> np.ndarray:
    classes, height, width = logits.shape
    planes = np.empty((classes, 2 * height, 2 * width), np.float32)
    for plane, small in zip(planes, logits * np.float32(1 / temperature), strict=True):
        cv2.resize(small, (2 * width, 2 * height), dst=plane, interpolation=cv2.INTER_LINEAR)
    planes -= planes.max(0)
    flat = planes.reshape(classes, -1)
    cv2.exp(flat, dst=flat)
    return cv2.resize(1 / planes.sum(0), size, interpolation=cv2.INTER_LINEAR)
