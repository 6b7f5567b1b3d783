"""Validation during training, and the temperatures that calibrate the confidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from any2seg_ros.engine import Features, Segmenter
from any2seg_ros.metrics import Confusion
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.types import IGNORE, Modality, Segmentation, Subset, all_subsets, subset_name

PIXELS = 400
"""Pixels per frame that temperatures are fitted on."""
BINS = 15


def validate(
    segmenter: Segmenter, cached: CachedDataset, frames: int = 0, subsets: Sequence[Subset] = ()
) -> dict[str, float]:
    """mIoU in percent by subset name, over `frames` evenly spread frames that have sensors (0 for
    all).

    Without `subsets`: all sensors of the data together, and each alone.
    """
    chosen = some_frames(cached, frames)
    return score(segmenter, cached, chosen, subsets or together_and_alone(cached.present))


def score(
    segmenter: Segmenter, cached: CachedDataset, indices: Iterable[int], subsets: Sequence[Subset]
) -> dict[str, float]:
    """mIoU in percent by subset name, over the frames of these indices, which have sensors."""
    groups = cached.class_groups(segmenter.taxonomy)
    confusions = {s: Confusion(len(groups)) for s in subsets}
    for label, found in predict(segmenter, cached, indices, subsets):
        for subset, confusion in confusions.items():
            if subset in found:
                confusion.add(label, groups.seen(label, found[subset].labels))
            else:
                confusion.add(label, np.full_like(label, IGNORE))
    return {subset_name(s): round(confusion.miou(), 3) for s, confusion in confusions.items()}


def predict(
    segmenter: Segmenter, cached: CachedDataset, indices: Iterable[int], subsets: Sequence[Subset]
) -> Iterator[tuple[np.ndarray, dict[Subset, Segmentation]]]:
    """The label of each of these frames, uint8 (2H, 2W), and what each subset sees in it.

    The frames have sensors. Of a subset that sensors are missing of, the others see; one without
    any is left out.
    """
    for index in indices:
        maps = encode(segmenter, cached, index)
        label = np.asarray(cached.labels[index])
        usable = {subset: {m: maps[m] for m in subset if m in maps} for subset in subsets}
        usable = {subset: features for subset, features in usable.items() if features}
        found = segmenter.fuse_all(list(usable.values()), label.shape[::-1])
        yield label, dict(zip(usable, found, strict=True))


def fit_temperatures(
    segmenter: Segmenter, sets: Sequence[CachedDataset], frames: int = 0, seed: int = 0
) -> dict[str, float]:
    """The temperature of least calibration error for every subset that labelled frames have, of
    `frames` evenly spread ones of each set that have sensors (0 for all)."""
    logits: dict[Subset, list[np.ndarray]] = {s: [] for s in all_subsets()}
    truth: dict[Subset, list[np.ndarray]] = {s: [] for s in all_subsets()}
    for cached in sets:
        members = cached.class_groups(segmenter.taxonomy).members
        for index in some_frames(cached, frames):
            maps = encode(segmenter, cached, index)
            label = np.asarray(cached.labels[index])
            pixels = _pixels(label, np.random.default_rng([seed, index]))
            for subset in (s for s in logits if all(m in maps for m in s)):
                planes, _ = segmenter.logits({m: maps[m] for m in subset})
                logits[subset].append(_interpolated(planes, pixels, label.shape))
                truth[subset].append(members[label[pixels]])
    return {
        subset_name(s): temperature(np.concatenate(logits[s]), np.concatenate(truth[s]))
        for s in logits
        if any(map(len, truth[s]))
    }


def together_and_alone(present: np.ndarray) -> list[Subset]:
    """All sensors that any frame has, and each of them: bool (N, M). A single one is there once."""
    sensors = tuple(m for m in Modality if present[:, m].any())
    return list(dict.fromkeys([sensors, *((m,) for m in sensors)]))


def temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The divisor of logits (n, K) that makes their confidence fit the truth best: bool (n, K),
    the classes that would be right."""
    candidates = np.geomspace(0.25, 5, 61)
    right = truth[np.arange(len(logits)), logits.argmax(1)]
    centred = logits - logits.max(1, keepdims=True)
    errors = [calibration_error(1 / np.exp(centred / t).sum(1), right) for t in candidates]
    return round(float(candidates[int(np.argmin(errors))]), 4)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error, 15 bins, of confidences (n,) and whether they were right."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, confidence - right, BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def encode(segmenter: Segmenter, cached: CachedDataset, index: int) -> dict[Modality, Features]:
    """The feature maps of every modality that a cached frame has; ValueError without any."""
    images = cached.images[index].astype(np.float32)
    return segmenter.encode({m: images[m] for m in Modality if cached.present[index, m]})


def some_frames(cached: CachedDataset, most: int) -> list[int]:
    """Indices of the frames that have sensors: `most` of them, evenly spread; all for 0."""
    frames = np.flatnonzero(cached.present.any(1))
    return frames[evenly_spread(len(frames), most)].tolist()


def evenly_spread(count: int, wanted: int) -> list[int]:
    """`wanted` of `count` indices, evenly spread; all of them for 0."""
    if not wanted or wanted >= count:
        return list(range(count))
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def _pixels(label: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(label != IGNORE)
    picked = generator.choice(len(rows), min(PIXELS, len(rows)), replace=False)
    return rows[picked], columns[picked]


def _interpolated(
    planes: np.ndarray, pixels: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """Logits (n, K) of planes (K, h, w) at pixels of a raster of `shape`, bilinear."""
    height, width = planes.shape[1:]
    y = np.clip((pixels[0] + 0.5) * height / shape[0] - 0.5, 0, height - 1)
    x = np.clip((pixels[1] + 0.5) * width / shape[1] - 0.5, 0, width - 1)
    top, left = y.astype(int), x.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = planes[:, top, left] * (1 - dx) + planes[:, top, right] * dx
    lower = planes[:, bottom, left] * (1 - dx) + planes[:, bottom, right] * dx
    return (upper * (1 - dy) + lower * dy).T
