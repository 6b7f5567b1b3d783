"""Placed frames on disk: placing costs more than reading back, and every epoch wants them again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.modalities import Camera, Modality
from any2seg_ros.sensors import Placer, PlacingConfig
from any2seg_ros.training.bag_data import BagData
from any2seg_ros.training.datasets import DataSet

LABEL_SIZE = 2
"""Labels are kept at this many times the size of the modality images."""


class PlacedSet:
    """The modality images of a split, in files that are mapped to memory.

    images float16 (N, M, 3, H, W) in vocabulary order, zero where a modality has none; present
    bool (N, M); labels uint8 (N, 2H, 2W), nearest neighbour; names and conditions by frame.
    """

    def __init__(self, folder: Path) -> None:
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy", mmap_mode="r")
        self.present = np.load(folder / "present.npy")
        index = json.loads((folder / "index.json").read_text())
        self.names: list[str] = index["names"]
        self.conditions: list[list[str]] = index["conditions"]
        self.reasons: dict[str, int] = index["reasons"]

    def __len__(self) -> int:
        return len(self.images)


def open_placed(
    data: DataSet | BagData,
    identity: str,
    size: tuple[int, int],
    placing: PlacingConfig,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PlacedSet:
    """The placed frames of `data`, from the cache or placed now.

    `identity` tells data sets apart that have the same names. A cache that was cut off while it
    was made is made again; two processes may make it at once.
    """
    names = [data.name(i) for i in range(len(data))]
    key = json.dumps([identity, names, size, asdict(placing)])
    folder = Path(cache) / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not (folder / "index.json").is_file():
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            _place(data, names, size, placing, partial, progress)
            _move(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return PlacedSet(folder)


def _place(
    data: DataSet | BagData,
    names: list[str],
    size: tuple[int, int],
    placing: PlacingConfig,
    folder: Path,
    progress: Callable[[int, int], None],
) -> None:
    width, height = size
    folder.mkdir(parents=True, exist_ok=True)
    count = len(data)
    images = np.lib.format.open_memmap(
        folder / "images.npy", "w+", np.float16, (count, len(Modality), 3, height, width)
    )
    labels = np.lib.format.open_memmap(
        folder / "labels.npy", "w+", np.uint8, (count, LABEL_SIZE * height, LABEL_SIZE * width)
    )
    present = np.zeros((count, len(Modality)), bool)
    reasons: dict[str, int] = {}
    walk = data.placed(size, placing) if isinstance(data, BagData) else _placed(data, size, placing)
    for i, (placed_images, label, why) in enumerate(walk):
        for modality, image in placed_images.items():
            images[i, modality] = image
            present[i, modality] = True
        for modality, reason in why.items():
            text = f"{modality.label}: {reason}"
            reasons[text] = reasons.get(text, 0) + 1
        labels[i] = cv2.resize(label, labels.shape[:0:-1], interpolation=cv2.INTER_NEAREST)
        progress(i + 1, count)
    images.flush()
    labels.flush()
    np.save(folder / "present.npy", present)
    conditions = [list(data.conditions(i)) for i in range(count)]
    index = {"names": names, "conditions": conditions, "reasons": reasons}
    (folder / "index.json").write_text(json.dumps(index))


def _placed(
    data: DataSet, size: tuple[int, int], placing: PlacingConfig
) -> Iterator[tuple[Mapping[Modality, np.ndarray], np.ndarray, Mapping[Modality, str]]]:
    placers: dict[Camera, Placer] = {}
    for i in range(len(data)):
        frame, reference = data[i], data.reference(i)
        placer = placers.setdefault(reference, Placer(reference, size, placing))
        placed = placer.place(frame)
        if frame.label is None:
            raise ValueError(f"frame {frame.name} has no label: training needs ground truth")
        yield placed.images, frame.label, placed.reasons


def _move(partial: Path, folder: Path) -> None:
    try:
        os.replace(partial, folder)
    except OSError:
        if (folder / "index.json").is_file():  # another process was first
            return
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
