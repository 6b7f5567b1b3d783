"""What a network teaches of a drive: labels of the pixels that it is sure of, and how sure it is.

The teacher sees all sensors that the gate believes, and the frame mirrored, too. A pixel is taught
if it is among the surest of its class: with one threshold for all, a network that is sure of roads
and never of people would teach roads alone, and forget people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from any2seg_ros.adaptation.config import TeachingConfig
from any2seg_ros.engine import Features, Segmenter
from any2seg_ros.engine.masks import masks
from any2seg_ros.training.cached_dataset import LABEL_SIZE, CachedDataset, relabelled
from any2seg_ros.training.validation import encode
from any2seg_ros.types import IGNORE, Modality, Segmentation, Subset, subset_name

LEVELS = 256
"""Levels of sureness."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Opinion:
    """What the teacher sees in a frame: labels and sureness uint8 (2H, 2W), 255 for certain; the
    labels that each sensor alone sees; sensors: those that it believed."""

    labels: np.ndarray
    sureness: np.ndarray
    alone: dict[Modality, np.ndarray]
    sensors: Subset


def opinion(
    segmenter: Segmenter, cached: CachedDataset, index: int, config: TeachingConfig
) -> Opinion:
    """The teacher's opinion of a frame that has a sensor."""
    height, width = (LABEL_SIZE * length for length in cached.images.shape[-2:])
    maps = encode(segmenter, cached, index)
    mirrored = segmenter.encode(
        {m: np.ascontiguousarray(cached.images[index][m, ..., ::-1], np.float32) for m in maps}
    )
    planes, sensors = _seen(segmenter, maps)
    planes = (planes + _seen(segmenter, mirrored)[0][..., ::-1]) / 2
    temperature = segmenter.metadata.temperatures.get(subset_name(sensors), 1.0)
    labels, confidence = masks(planes, (width, height), temperature)
    each = segmenter.fuse_all([{m: maps[m]} for m in maps], (width, height))
    alone = dict(zip(maps, each, strict=True))
    sureness = _sureness(labels, confidence, alone, config)
    return Opinion(labels, sureness, {m: one.labels for m, one in alone.items()}, sensors)


def _seen(segmenter: Segmenter, maps: Mapping[Modality, Features]) -> tuple[np.ndarray, Subset]:
    """Logits (K, h, w) of a frame, and the sensors that were believed.

    Of two sensors one of which is the camera, MFF cannot tell who is wrong: the camera, which the
    network knows best, has a second voice.
    """
    planes, weights = segmenter.logits(maps)
    believed = tuple(m for m, weight in zip(sorted(maps), weights, strict=True) if weight > 0)
    if len(believed) == 2 and Modality.RGB in believed:
        planes = (planes + segmenter.logits({Modality.RGB: maps[Modality.RGB]})[0]) / 2
    return planes, believed


def _sureness(
    labels: np.ndarray,
    confidence: np.ndarray,
    alone: Mapping[Modality, Segmentation],
    config: TeachingConfig,
) -> np.ndarray:
    """uint8 (2H, 2W): confidence, and what is left of the doubt where sensors alone agree."""
    doubt = 1 - confidence
    if len(alone) > 1:
        votes = np.zeros(labels.shape, np.float32)
        for one in alone.values():
            votes += (one.labels == labels) & (one.confidence >= config.floor)
        doubt *= 1 - config.agreement * votes / len(alone)
    return ((LEVELS - 1) * (1 - np.clip(doubt, 0, 1))).astype(np.uint8)


class Lessons:
    """The teacher's opinions of frames of a drive, on disk until it is known what is sure.

    counts int (K, 256): pixels by class and sureness.
    """

    def __init__(self, folder: Path, cached: CachedDataset, classes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "opinions.u8"
        shape = (len(cached), 2, *cached.labels.shape[-2:])
        self._kept = np.memmap(self._file, np.uint8, "w+", shape=shape)
        self._cached, self._classes = cached, classes
        self.counts = np.zeros((classes, LEVELS), np.int64)
        self.teachers: dict[Modality, int] = dict.fromkeys(Modality, 0)
        """In how many frames each sensor taught."""

    def add(self, index: int, seen: Opinion) -> None:
        """Keep what was seen in a frame."""
        self._kept[index] = seen.labels, seen.sureness
        pairs = seen.labels.astype(np.int64) * LEVELS + seen.sureness
        self.counts += np.bincount(pairs.ravel(), minlength=self.counts.size).reshape(
            self.counts.shape
        )
        for modality in seen.sensors:
            self.teachers[modality] += 1

    def write(self, folder: Path, frames: Sequence[int], least: np.ndarray) -> CachedDataset:
        """A cached data set with what was taught of `frames`, where it is as sure as `least`
        (K,) says; labels of another network go before."""
        cached = self._cached
        present = np.zeros_like(cached.present)
        present[list(frames)] = cached.present[list(frames)]
        groups = [[k] for k in range(self._classes)]
        groups += [group for group in cached.groups if group not in groups]
        values = np.array([groups.index(group) for group in cached.groups], np.uint8)
        return relabelled(cached, folder, groups, present, self._labels(set(frames), least, values))

    def _labels(
        self, frames: set[int], least: np.ndarray, values: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """values: of the other network's labels, among the groups."""
        nothing = np.full(self._cached.labels.shape[-2:], IGNORE, np.uint8)
        for index in range(len(self._cached)):
            if index not in frames:
                yield nothing, nothing
                continue
            labels, sureness = np.array(self._kept[index])
            labels[sureness < least[labels]] = IGNORE
            given = np.asarray(self._cached.labels[index])
            known = given != IGNORE
            if known.any():
                weight = self._cached.frame(index).weight
                labels[known] = values[given[known]]
                sureness[known] = LEVELS - 1 if weight is None else weight[known]
            yield labels, sureness

    def close(self) -> None:
        """Remove the opinions."""
        del self._kept
        self._file.unlink(missing_ok=True)


def thresholds(counts: np.ndarray, config: TeachingConfig) -> np.ndarray:
    """The least sureness (K,) at which pixels of each class are taught.

    The surest `share` of them, none below `floor`, and all from `always` on.
    """
    above = counts[:, ::-1].cumsum(1)[:, ::-1]
    wanted = config.share * counts.sum(1, keepdims=True)
    least = (above >= np.maximum(wanted, 1)).sum(1) - 1
    low, high = (round((LEVELS - 1) * level) for level in (config.floor, config.always))
    return np.clip(least, low, max(low, high)).astype(np.int64)


@contextmanager
def teach(
    segmenter: Segmenter,
    cached: CachedDataset,
    frames: Sequence[int],
    folder: Path,
    config: TeachingConfig,
    progress: Progress = lambda done, total: None,
) -> Iterator[Lessons]:
    """Look at the frames; `Lessons.write` makes a data set of what was seen.

    The opinions are kept until the end of the block.
    """
    lessons = Lessons(folder, cached, len(segmenter.taxonomy))
    try:
        for done, index in enumerate(frames, start=1):
            if cached.present[index].any():
                lessons.add(index, opinion(segmenter, cached, index, config))
            progress(done, len(frames))
        yield lessons
    finally:
        lessons.close()
