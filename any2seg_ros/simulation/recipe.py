"""Recipes: data sets that can be rendered again, with checksums to prove it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros.configuration import build, load
from any2seg_ros.files import write_atomically
from any2seg_ros.simulation import layout
from any2seg_ros.simulation.dataset import Plan
from any2seg_ros.simulation.scene import SceneSpec
from any2seg_ros.simulation.settings import SensorSettings


@dataclass(frozen=True)
class Recipe:
    """The plans of the splits, the sensor settings, and the checksum of each split."""

    plans: list[Plan]
    settings: SensorSettings = field(default_factory=SensorSettings)
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _RecipeFile:
    """A recipe as YAML has it; splits: the arguments of `Plan` by split."""

    splits: dict[str, dict[str, Any]]
    sensors: SensorSettings = field(default_factory=SensorSettings)
    checksums: dict[str, str] = field(default_factory=dict)


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe from YAML. FileNotFoundError; ValueError names the wrong entry."""
    file = load(_RecipeFile, path)
    try:
        plans = [
            build(Plan, {**values, "split": split}, f"splits.{split}.")
            for split, values in file.splits.items()
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Recipe(plans, file.sensors, file.checksums)


def checksums(
    root: Path, plans: list[Plan], progress: Callable[[int, int], None] | None = None
) -> dict[str, str]:
    """SHA-256 of sensor data and labels, by split.

    Of the decoded RGB, labels, raw depth, clouds and events of all frames in order, so that PNG
    compression does not matter. FileNotFoundError for a missing frame.
    """
    total = sum(plan.scenes * plan.frames for plan in plans)
    done, found = 0, {}
    for plan in plans:
        whole = hashlib.sha256()
        for spec in plan.specs():
            for number in range(spec.frames):
                whole.update(frame_digest(root, spec, number))
                done += 1
                if progress:
                    progress(done, total)
        found[plan.split] = whole.hexdigest()
    return found


def frame_digest(root: Path, spec: SceneSpec, number: int) -> bytes:
    """SHA-256 of one frame's content."""
    name = layout.frame_name(number)
    digest = hashlib.sha256(f"{spec.split}/{spec.condition}/{spec.name}/{name}".encode())
    raw = layout.folder(root, "raw", spec)
    for kind in ("img", "semantic"):
        _add(digest, _picture(layout.folder(root, kind, spec) / f"{name}_{layout.PICTURES[kind]}"))
    _add(digest, _picture(raw / f"{name}_{layout.RAW[0]}"))
    _add(digest, np.load(raw / f"{name}_{layout.RAW[1]}"))
    with np.load(raw / f"{name}_{layout.RAW[2]}") as events:
        for column in ("t", "x", "y", "p"):
            _add(digest, events[column])
    return digest.digest()


def _add(digest: Any, array: np.ndarray) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())


def _picture(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.exists() else None
    if picture is None:
        raise FileNotFoundError(f"{path} is missing or unreadable: run `any2seg simulate` again")
    return picture


def record_checksums(path: Path, found: dict[str, str]) -> None:
    """Write checksums to a recipe's file; keep everything before them, with comments."""
    known = {**load_recipe(path).checksums, **found}
    text = path.read_text()
    head = (
        text[: text.index("\nchecksums:") + 1] if "\nchecksums:" in text else text.rstrip() + "\n"
    )
    lines = [f"  {split}: {value}\n" for split, value in known.items()]
    write_atomically(path, (head + "checksums:\n" + "".join(lines)).encode())
