"""Labelled images of anybody's: a folder of images, a folder of labels, and what the ids mean."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from any2seg_ros.datasets.files import NoLabel, read_label_ids, read_rgb
from any2seg_ros.label_maps import ClassGroups, LabelMap, read_label_map
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import IGNORE, Camera, Frame, Measurement, Modality, Subset

IMAGES, LABELS, MAP = "images", "labels", "labels.yaml"
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class LabelledFolder:
    """Frames of `images/` with labels of the same stem in `labels/`, PNGs of label ids.

    What the ids mean says `labels.yaml`, or `label_map`, see `read_label_map`. The folder is one
    split. A split `val/6` is every sixth sequence of it and `train/6` the others, a sequence being
    the images whose names are the same up to the last underscore. The only sensor is the camera.
    ValueError where nothing is labelled.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        taxonomy: Taxonomy,
        wanted: Subset = (),
        label_map: str = "",
    ) -> None:
        self.root = Path(root)
        self.taxonomy = taxonomy
        self.modalities: tuple[Modality, ...] = (Modality.RGB,)
        self.notes: list[str] = []
        if set(wanted) - {Modality.RGB}:
            raise ValueError(f"{root} has images alone: its only sensor is rgb")
        self.map = self._read_map(label_map)
        self.groups: ClassGroups = self.map.groups
        found = sorted(f for f in (root / IMAGES).iterdir() if f.suffix.lower() in ENDINGS)
        self.paths = [f for f in found if in_split(f.stem, split)]
        if not found:
            raise FileNotFoundError(f"no images in {root / IMAGES}: put .jpg or .png files there")
        if not self.paths:
            raise ValueError(
                f"none of the {len(found)} images of {root / IMAGES} is in {split}: a sequence, "
                "which are the names that are the same up to the last underscore, goes to one side "
                f"as a whole; take another number than {split.partition('/')[2]}"
            )
        self._check_labels()

    def _read_map(self, label_map: str) -> LabelMap:
        file = self.root / MAP
        if not label_map and not file.is_file():
            raise FileNotFoundError(
                f"{self.root} does not say what its label ids mean: write {MAP}, or name a label "
                "map (--label-map)"
            )
        return read_label_map(label_map or file, self.taxonomy)

    def _check_labels(self) -> None:
        """Look until a labelled pixel is found: nobody is to train or score on nothing."""
        there = [index for index in range(len(self)) if self._label_path(index).is_file()]
        if not there:
            raise NoLabel(
                f"no image of {self.root / IMAGES} has a label: {LABELS}/ needs a PNG of the same "
                f"name, as {self._label_path(0).name}"
            )
        if not any((self._label(index) != IGNORE).any() for index in there):
            raise ValueError(
                f"no pixel of {self.root} is labelled: by {self.map.name} every id of its labels "
                "stands for nothing"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Frame:
        image, label = read_rgb(self.paths[index]), self._label(index)
        height, width = image.shape[:2]
        check_proportions(width, height, label, str(self._label_path(index)))
        return Frame.of(Measurement(Modality.RGB, 1, image), label=label, name=self.name(index))

    def name(self, index: int) -> str:
        """The image's stem."""
        return self.paths[index].stem

    def files(self, index: int) -> Iterator[Path]:
        """See `DataSet.files`."""
        yield self.paths[index]
        yield self._label_path(index)
        yield Path(self.map.name)

    def conditions(self, index: int) -> tuple[str, ...]:
        """Nothing is known of them."""
        return ()

    def reference(self, index: int) -> Camera:
        """A camera of the image's size; its lens is not known and plays no part."""
        height, width = read_rgb(self.paths[index]).shape[:2]
        return Camera(width, height, width / 2, width / 2, (width - 1) / 2, (height - 1) / 2)

    def _label_path(self, index: int) -> Path:
        return self.root / LABELS / f"{self.paths[index].stem}.png"

    def _label(self, index: int) -> np.ndarray:
        path = self._label_path(index)
        return self.map.apply(read_label_ids(path), str(path))


def in_split(stem: str, split: str) -> bool:
    """Whether an image belongs to a split as `val/6`; to any other split all belong."""
    name, slash, count = split.partition("/")
    if not slash:
        return True
    if name not in ("train", "val") or not count.isdigit() or int(count) < 2:
        raise ValueError(f"'{split}' is no split of a folder: use train/6 and val/6, or leave it")
    sequence = stem.rpartition("_")[0] or stem
    number = int(sequence) if sequence.isdigit() else zlib.crc32(sequence.encode())
    return (number % int(count) == int(count) - 1) == (name == "val")


def check_proportions(width: int, height: int, label: np.ndarray, name: str) -> None:
    """ValueError where a label cannot be of an image: it may be smaller or larger, not wider.

    name: the label's, for people.
    """
    rows, columns = label.shape
    if abs(rows - columns * height / width) > 1 and abs(columns - rows * width / height) > 1:
        raise ValueError(
            f"{name} is {columns}x{rows}, its image {width}x{height}: labels may have another "
            "size, but the same proportions"
        )
