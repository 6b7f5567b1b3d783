"""Frames of a bag with their ground truth, preprocessed by the code that the node runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import numpy as np

from any2seg_ros.bags.file import ENDINGS
from any2seg_ros.datasets.ground_truth import (
    UNMAPPED,
    GroundTruth,
    Labelling,
    open_ground_truth,
    open_optional,
)
from any2seg_ros.datasets.labelled_folder import check_proportions
from any2seg_ros.datasets.samples import LeftOut, Sample, Target
from any2seg_ros.label_maps import ClassGroups, read_label_map
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.runtime.pipeline import Preparation, Prepared
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality

PERIOD = 100_000_000
"""What is expected between frames (ns), where nothing else is known."""


class BagSource:
    """See `Source`. Every process walks all of every bag, for sensors' health and events have
    a past; each scores its share of the frames. modalities: the sensors that all bags have, of
    `unlabelled` ones those that any has.

    Labels are ids of the target's classes, DELIVER's if it names none. ValueError where a bag has
    no ground truth, unless `unlabelled`: then labels are those of the labelling's folders, for the
    frames that have any, and what the bag itself has is not read. limit: frames at most, the first
    ones, or with `spread` evenly spread in time; 0 for all.
    """

    split: str | None = None

    def __init__(
        self,
        name: str,
        bags: list[Path],
        target: Target,
        limit: int = 0,
        labelling: Labelling = UNMAPPED,
        topics: Mapping[str, str] | None = None,
        motion_compensation: str = "",
        unlabelled: bool = False,
        spread: bool = False,
    ) -> None:
        self.name = name
        self.notes: list[str] = []
        self.taxonomy = target.taxonomy or DELIVER
        self._bags, self._target, self._limit = bags, target, limit
        self._names = dict(zip(bags, bag_names(bags), strict=True))
        self._labelling, self._topics = labelling, topics
        self._parameters = from_values({"motion_compensation": motion_compensation})
        self._unlabelled, self._spread = unlabelled, spread
        self._durations: list[int] = []
        """ns of each bag, 0 where it is not known."""
        self.groups = ClassGroups.of_classes(self.taxonomy)
        sensors = [self._look_into(bag) for bag in bags]
        each = set.union(*sensors) if unlabelled else set.intersection(*sensors)
        self.modalities: tuple[Modality, ...] = tuple(sorted(each))
        if not each:
            raise ValueError(f"the bags of {self.name} have no sensor in common")
        self._period = 0
        """ns between the stamps of two frames at least."""
        meanings = [
            sorted(read_label_map(name, self.taxonomy).classes.items())
            for name in labelling.label_maps
        ]
        groups = [sorted(group) for group in self.groups.groups]
        given = sorted((topics or {}).items())
        how = repr((labelling, meanings, groups, motion_compensation, given))
        if spread and limit:
            self._period = _period(self._durations, limit)
            how += f" {self._period} {limit}"
        self.fingerprint = _fingerprint([*bags, *labelling.paths()], how)

    independent = False

    def __len__(self) -> int:
        length = round(sum(self._durations) / max(PERIOD, self._period))
        return min(length, self._limit) if self._limit else length

    def samples(self, rank: int, world: int) -> Iterator[Sample | LeftOut]:
        count = 0
        for bag in self._bags:
            for sample in self._walk(bag, rank, world, count):
                count += 1
                if sample is not None:
                    yield sample
                if self._limit and count >= self._limit:
                    if not self._spread:
                        self.notes.append(f"limited to the first {self._limit} frames")
                    return

    def _walk(
        self, bag: Path, rank: int, world: int, count: int
    ) -> Iterator[Sample | LeftOut | None]:
        """The frames of a bag; None for those that are another process's."""
        walk = self._open_walk(bag)
        truth = self._open_truth(bag, walk)
        kept = -self._period
        try:
            for played in walk.frames():
                if played.frame is None or abs(played.frame.stamp - kept) < self._period:
                    continue
                kept = played.frame.stamp
                prepared = walk.preparation.prepare(played.frame)
                mine = count % world == rank
                count += 1
                if not mine:
                    yield None
                    continue
                label = truth.label(played.frame.stamp, played.log_time)
                yield (
                    LeftOut(truth.lacking)
                    if label is None
                    else self._sample(bag, prepared, label, truth.weight)
                )
        finally:
            prefix = f"{self._names[bag]}: " if len(self._bags) > 1 else ""
            self.notes += [prefix + note for note in (*walk.notes, *truth.notes)]

    def _sample(
        self,
        bag: Path,
        prepared: Prepared,
        label: np.ndarray,
        weight: np.ndarray | None,
    ) -> Sample:
        camera = prepared.calibration.reference
        if camera and label.size > 1:  # a single pixel is none
            name = f"the label of {bag.name}/{prepared.frame.stamp}"
            check_proportions(camera.width, camera.height, label, name)
        rgb = prepared.frame.measurements.get(Modality.RGB)
        name = self._names[bag]
        conditions = (name,) if len(self._bags) > 1 else ()
        return Sample(
            f"{name}/{prepared.frame.stamp}",
            prepared.images,
            label,
            conditions,
            picture_of(rgb.data) if rgb else None,
            prepared.frame.reasons,
            weight,
            prepared.frame.measurements.get(Modality.LIDAR),
            camera,
        )

    def _look_into(self, bag: Path) -> set[Modality]:
        """How long the bag is, and whether it has ground truth; returns which sensors it has."""
        walk = self._open_walk(bag)
        self._durations.append(walk.duration)
        self.groups = self._open_truth(bag, walk).groups
        return set(walk.layout.sensors)

    def _open_truth(self, bag: Path, walk: BagPlayer) -> GroundTruth:
        if self._unlabelled:
            return open_optional(bag, self._labelling, self.taxonomy)
        truth = open_ground_truth(bag, walk.layout.label, self._labelling, self.taxonomy)
        if truth is None:
            raise ValueError(
                f"{bag} has no ground truth: give a folder of labels (--labels) or name their "
                "topic (--topic label=/...). Without any, `any2seg replay` shows each sensor's "
                "masks, confidence and agreement"
            )
        return truth

    def _open_walk(self, bag: Path) -> BagPlayer:
        preparation = Preparation(self._target.size, self._target.preprocessing)
        return BagPlayer(bag, preparation, self._topics, self._parameters)


def recorded_files(bag: Path) -> list[Path]:
    """The files of a bag, or of its folder, that hold messages, by name."""
    files = [bag] if bag.is_file() else sorted(bag.iterdir())
    return [file for file in files if file.name.endswith(ENDINGS)]


def bag_names(bags: list[Path]) -> list[str]:
    """What bags are called; several of the same name are numbered."""
    found: list[str] = []
    for bag in bags:
        named = (f"{bag.name} ({n})" if n > 1 else bag.name for n in count(1))
        found.append(next(name for name in named if name not in found))
    return found


def _period(durations: list[int], limit: int) -> int:
    """ns between two frames, so that bags of these durations (ns) have `limit` frames at most, or
    one each: every bag has one at its beginning."""
    known = sum(durations)
    period = -(-known // limit) if known else PERIOD
    while sum(one // period + 1 for one in durations) > max(limit, len(durations)):
        period += -(-period // 100)
    return period


def _fingerprint(bags: list[Path], how: str) -> str:
    """Of names, sizes and times of the files, and of how they are read."""
    files = [f for bag in bags for f in ([bag] if bag.is_file() else sorted(bag.iterdir()))]
    stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    return hashlib.sha256(repr((stats, how)).encode()).hexdigest()


def picture_of(data: np.ndarray) -> np.ndarray:
    """A camera image as uint8 (h, w, 3), contiguous."""
    colour = np.repeat(data[..., None], 3, axis=2) if data.ndim == 2 else data
    return np.ascontiguousarray(colour)
