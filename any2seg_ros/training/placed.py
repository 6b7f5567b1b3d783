"""Placed frames on disk: placing costs more than reading back, and every epoch wants them again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros import (
    bags,
    datasets,
    messages,
    monitor,
    parameters,
    pipeline,
    sensors,
    synchronizer,
)
from any2seg_ros.datasets import LeftOut, Source, Target
from any2seg_ros.files import clear_parts, part_of
from any2seg_ros.modalities import Modality

LABEL_SIZE = 2
"""Labels are kept at this many times the size of the modality images."""

PLACING_ROOMS = (bags, datasets, messages, sensors)
PLACING_MODULES = (monitor, parameters, pipeline, synchronizer)
"""What places frames, together."""

INDEX, IMAGES, LABELS = "index.json", "images.f16", "labels.u8"


class PlacedSet:
    """The modality images of a split, in files that are mapped to memory.

    images float16 (N, M, 3, H, W) in vocabulary order, zero where a modality has none; present
    bool (N, M); labels uint8 (N, 2H, 2W), nearest neighbour; names and conditions by frame;
    reasons: how often what was wrong with a measurement, or why frames were left out.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._open(folder)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(
                f"the placed frames in {folder} are damaged ({error}): delete the folder, they are "
                "placed anew"
            ) from None

    def _open(self, folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text())
        self.names: list[str] = index["names"]
        self.conditions: list[list[str]] = index["conditions"]
        self.reasons: dict[str, int] = index["reasons"]
        self.present = np.array(index["present"], bool)
        count, (width, height) = len(self.names), index["size"]
        shape = (count, len(Modality), 3, height, width)
        self.images = np.memmap(folder / IMAGES, np.float16, "r", shape=shape)
        raster = (count, LABEL_SIZE * height, LABEL_SIZE * width)
        self.labels = np.memmap(folder / LABELS, np.uint8, "r", shape=raster)

    def __len__(self) -> int:
        return len(self.names)


def open_placed(
    source: Source,
    identity: str,
    target: Target,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PlacedSet:
    """The placed frames of `source`, from the cache or placed now; ValueError if there are none.

    `identity` tells data apart that have the same fingerprint. A cache that was cut off while it
    was made is made again; two processes may make it at once.
    """
    key = json.dumps([identity, source.fingerprint, target.size, asdict(target.placing), _code()])
    folder = Path(cache) / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not (folder / INDEX).is_file():
        clear_parts(folder)
        partial = part_of(folder)
        try:
            partial.mkdir(parents=True, exist_ok=True)
            _place(source, target.size, partial, progress)
            _move(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return PlacedSet(folder)


def _code() -> str:
    """A digest of what places frames: images that it placed otherwise before are placed anew."""
    digest = hashlib.sha256()
    files = [Path(__file__), *(Path(str(module.__file__)) for module in PLACING_MODULES)]
    for room in PLACING_ROOMS:
        files += sorted(Path(str(room.__file__)).parent.glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _place(
    source: Source, size: tuple[int, int], folder: Path, progress: Callable[[int, int], None]
) -> None:
    width, height = size
    raster = (LABEL_SIZE * width, LABEL_SIZE * height)
    names, conditions, present = [], [], []
    reasons: Counter[str] = Counter()
    with (folder / IMAGES).open("wb") as images, (folder / LABELS).open("wb") as labels:
        for sample in source.samples(0, 1):
            if isinstance(sample, LeftOut):
                reasons[f"frame left out: {sample.reason}"] += 1
                continue
            stack = np.zeros((len(Modality), 3, height, width), np.float16)
            for modality, image in sample.images.items():
                stack[modality] = image
            images.write(stack.data)
            label = cv2.resize(sample.label, raster, interpolation=cv2.INTER_NEAREST)
            labels.write(np.ascontiguousarray(label).data)
            reasons.update(f"{m.label}: {reason}" for m, reason in sample.reasons.items())
            names.append(sample.name)
            conditions.append(list(sample.conditions))
            present.append([m in sample.images for m in Modality])
            progress(len(names), max(len(source), len(names)))
    if not names:
        raise ValueError(f"{source.name} has no frame with a label: training needs ground truth")
    index = {
        "size": size,
        "names": names,
        "conditions": conditions,
        "present": present,
        "reasons": reasons,
    }
    (folder / INDEX).write_text(json.dumps(index))


def _move(partial: Path, folder: Path) -> None:
    try:
        os.replace(partial, folder)
    except OSError:
        if (folder / INDEX).is_file():  # another process was first
            return
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
