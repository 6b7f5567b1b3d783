"""The ground truth of a bag: a label topic in it, or a folder of label images named by stamp."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from any2seg_ros.bags import BagReader
from any2seg_ros.datasets.files import read_label_ids
from any2seg_ros.label_maps import ClassGroups, LabelMap, read_label_map
from any2seg_ros.messages import decode_labels, stamp_ns, unpack_labels
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import IGNORE, InvalidMeasurement

TOLERANCE = 50_000_000
"""A label belongs to a mask if their stamps differ by at most this (ns): half a period at 10 Hz."""

HORIZON = 2_000_000_000
"""How far (ns of log time) labels are looked for beyond the frame that they belong to."""

NONE_NEAR = "no ground truth near the frame's stamp"


class GroundTruth(Protocol):
    """Labels by time; ask with stamps in the order of the bag.

    groups: what the values of the labels stand for. notes: what a reader of results must know of
    them. lacking: why the last answer was None. weight:
    how much the last label is to be trusted, uint8 of its size, 255 for wholly; None for wholly.
    """

    groups: ClassGroups
    notes: list[str]
    lacking: str
    weight: np.ndarray | None

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """The label nearest to a stamp (ns), uint8 (h, w); None where there is none.

        `log_time` is when the bag's recorder saw what the stamp belongs to.
        """


class LabelTopic:
    """Labels in a topic of a bag, read alongside it: a few of them are in memory at a time."""

    weight: np.ndarray | None = None

    def __init__(self, bag: Path, topic: str, taxonomy: Taxonomy) -> None:
        self.groups = ClassGroups.of_classes(taxonomy)
        self.notes: list[str] = []
        self.lacking = NONE_NEAR
        self._bag, self._topic = bag, topic
        self._near: deque[tuple[int, int, object]] = deque()
        self._coming = self._read()

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """See `GroundTruth.label`."""
        while self._near and self._near[0][1] < log_time - HORIZON:
            self._near.popleft()
        while not self._near or self._near[-1][1] <= log_time + HORIZON:
            if any(s == stamp for s, _, _ in self._near):
                break
            following = next(self._coming, None)
            if following is None:
                break
            self._near.append(following)
        best = min(self._near, key=lambda one: abs(one[0] - stamp), default=None)
        self.lacking = NONE_NEAR
        if best is None or abs(best[0] - stamp) > TOLERANCE:
            return None
        return self._decode(best[2])

    def _decode(self, message: object) -> np.ndarray | None:
        try:
            return decode_labels(message)
        except InvalidMeasurement as reason:
            self.lacking = f"a label on {self._topic} cannot be used: {reason}"
            if self.lacking not in self.notes:
                self.notes.append(self.lacking)
            return None

    def _read(self) -> Iterator[tuple[int, int, object]]:
        with BagReader(self._bag) as bag:
            for recorded in bag.messages([self._topic]):
                stamp = stamp_ns(recorded.message.header.stamp)
                yield stamp, recorded.log_time, recorded.message


class OptionalLabels:
    """Labels of folders for the frames that have one there; nothing is known of the others.

    Without `given` that is all frames: labels that a bag holds itself are not read.
    """

    lacking = ""

    def __init__(self, given: GroundTruth | None, taxonomy: Taxonomy) -> None:
        self.groups = given.groups if given else ClassGroups.of_classes(taxonomy)
        self.notes = given.notes if given else []
        self.weight: np.ndarray | None = None
        self._given = given

    def label(self, stamp: int, log_time: int) -> np.ndarray:
        """See `GroundTruth.label`; a single pixel without a label where nothing is known."""
        label = self._given.label(stamp, log_time) if self._given else None
        self.weight = self._given.weight if self._given and label is not None else None
        return np.full((1, 1), IGNORE, np.uint8) if label is None else label


class StampedImages:
    """Images `<stamp in ns>.png` in a folder, by time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder of labels at {folder}")
        stamped = sorted((int(f.stem), f) for f in folder.glob("*.png") if f.stem.isdigit())
        if not stamped:
            raise ValueError(f"{folder} has no label: name the images <stamp in ns>.png")
        self._stamps = [stamp for stamp, _ in stamped]
        self._files = [file for _, file in stamped]

    def nearest(self, stamp: int) -> Path | None:
        """The image nearest to a stamp (ns); None where there is none within `TOLERANCE`."""
        at = bisect_left(self._stamps, stamp)
        near = range(max(at - 1, 0), min(at + 1, len(self._stamps)))
        best = min(near, key=lambda i: abs(self._stamps[i] - stamp), default=None)
        if best is None or abs(self._stamps[best] - stamp) > TOLERANCE:
            return None
        return self._files[best]


class LabelFolder:
    """Labels in a folder that are the network's own classes."""

    weight: np.ndarray | None = None
    lacking = NONE_NEAR

    def __init__(self, folder: Path, taxonomy: Taxonomy) -> None:
        self.groups = ClassGroups.of_classes(taxonomy)
        self.notes: list[str] = []
        self._images = StampedImages(folder)

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """See `GroundTruth.label`; ValueError for a file that holds no labels."""
        file = self._images.nearest(stamp)
        if file is None:
            return None
        try:
            return unpack_labels(file.read_bytes())
        except InvalidMeasurement as reason:
            raise ValueError(f"{file} cannot be used: {reason}") from None


@dataclass(frozen=True)
class Labelling:
    """Labels beside the data, and what they mean, where they are not the network's own classes.

    folders: of a bag's labels, `<stamp in ns>.png`. label_maps: what the ids of each folder mean,
    see `read_label_map`; of a folder of images its only one. A further folder narrows the first:
    where the first says road or road line, it may say which. confidence: folder of how sure the
    labels are, 255 for 1. sure: labels of less confidence are not used.
    """

    folders: tuple[Path, ...] = ()
    label_maps: tuple[str, ...] = ()
    confidence: Path | None = None
    sure: float = 0.0

    def __post_init__(self) -> None:
        if self.label_maps and self.folders and len(self.label_maps) != len(self.folders):
            raise ValueError("name one label map for each folder of labels")
        if len(self.folders) > 1 and not self.label_maps:
            raise ValueError("several folders of labels need a label map each")
        if not 0 <= self.sure <= 1:
            raise ValueError(f"the least confidence is {self.sure}: it must be from 0 to 1")
        if self.confidence is not None and not self.folders:
            raise ValueError("a folder of confidences needs a folder of labels")

    def paths(self) -> list[Path]:
        """The folders of labels and of confidences."""
        return [*self.folders, *filter(None, [self.confidence])]


UNMAPPED = Labelling()
"""Labels are in the data, and in the network's own classes."""


class MappedLabels:
    """Labels of folders whose ids are not the network's classes; see `Labelling`."""

    lacking = NONE_NEAR

    def __init__(self, labelling: Labelling, taxonomy: Taxonomy) -> None:
        self.notes: list[str] = []
        self.weight: np.ndarray | None = None
        self._folders = [StampedImages(folder) for folder in labelling.folders]
        self._maps = [read_label_map(name, taxonomy) for name in labelling.label_maps]
        self._sure = StampedImages(labelling.confidence) if labelling.confidence else None
        self._least = round(255 * labelling.sure)
        wanted = [group for one in self._maps for group in one.groups.groups]
        self.groups = ClassGroups(taxonomy, tuple(dict.fromkeys(wanted)))
        self._values = [_values(one, self.groups) for one in self._maps]

    def label(self, stamp: int, log_time: int) -> np.ndarray | None:
        """See `GroundTruth.label`; a frame needs an image in every folder."""
        files = [folder.nearest(stamp) for folder in self._folders]
        sure = self._sure.nearest(stamp) if self._sure else None
        if None in files or (self._sure and sure is None):
            return None
        label: np.ndarray | None = None
        for file, one, values in zip(files, self._maps, self._values, strict=True):
            assert file is not None
            further = values[one.apply(read_label_ids(file), str(file))]
            label = further if label is None else self._narrowed(label, further, file)
        assert label is not None
        self.weight = read_label_ids(sure) if sure else None
        if self.weight is not None:
            _check_size(self.weight, label, sure)
            label = np.where(self.weight < self._least, np.uint8(IGNORE), label)
        return label

    def _narrowed(self, label: np.ndarray, further: np.ndarray, file: Path) -> np.ndarray:
        """`further` where it says more exactly what `label` says."""
        _check_size(further, label, file)
        groups = self.groups.groups
        within = np.zeros((256, 256), bool)
        within[: len(groups), : len(groups)] = [
            [one <= other for other in groups] for one in groups
        ]
        return np.where(within[further, label], further, label)


def _values(one: LabelMap, groups: ClassGroups) -> np.ndarray:
    """A map's groups as values of all the maps' groups, uint8 (256,)."""
    values = np.full(256, IGNORE, np.uint8)
    values[: len(one.groups)] = [groups.groups.index(group) for group in one.groups.groups]
    return values


def _check_size(image: np.ndarray, label: np.ndarray, file: Path | None) -> None:
    if image.shape != label.shape:
        raise ValueError(f"{file} has another size than the label of the same stamp")


def open_ground_truth(
    bag: Path, topic: str | None, labelling: Labelling, taxonomy: Taxonomy
) -> LabelTopic | LabelFolder | MappedLabels | None:
    """Labels from folders if there are any, else from the bag's topic, else None."""
    if labelling.label_maps and not labelling.folders:
        raise ValueError("a label map for a bag needs a folder of labels (--labels)")
    if labelling.label_maps:
        return MappedLabels(labelling, taxonomy)
    if labelling.folders:
        return LabelFolder(labelling.folders[0], taxonomy)
    return LabelTopic(bag, topic, taxonomy) if topic else None


def open_optional(bag: Path, labelling: Labelling, taxonomy: Taxonomy) -> OptionalLabels:
    """Labels from folders, for the frames that have one; never the bag's own."""
    return OptionalLabels(open_ground_truth(bag, None, labelling, taxonomy), taxonomy)
