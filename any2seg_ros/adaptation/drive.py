"""The frames of bags, preprocessed and cached on disk, and which of them are learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.datasets import Target, find_bags, parse_topics
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached
from any2seg_ros.types import IGNORE

HELD_BACK = 1 / 3
"""Share of each bag, the last, that is judged on and never trained on."""
GAP = 0.05
"""Share of each bag before that part which is neither: its frames look like those after."""


@dataclass(frozen=True, eq=False)
class Drive:
    """The cached frames of all bags; learned and held: their indices, int (n,), in order of time.

    bags: where they are; notes: what was said about reading them.
    """

    cached: CachedDataset
    learned: np.ndarray
    held: np.ndarray
    bags: tuple[Path, ...]
    notes: tuple[str, ...]


def open_drive(
    config: AdaptationConfig, target: Target, progress: Callable[[int, int], None]
) -> Drive:
    """Read the bags, or find them cached; FileNotFoundError or ValueError say what is wrong."""
    bags: list[Path] = []
    for path in config.bags:
        if not path.exists():
            raise FileNotFoundError(f"no bag at {path}")
        found = find_bags(path)
        if not found:
            raise ValueError(f"{path} is no bag, and no folder of bags")
        bags += found
    bags = list({bag.resolve(): bag for bag in bags}.values())
    source = BagSource(
        ", ".join(map(str, bags)),
        bags,
        target,
        config.frames,
        config.labelling,
        parse_topics(config.topics),
        unlabelled=True,
        spread=True,
    )
    identity = "adapt " + " ".join(str(bag.resolve()) for bag in bags)
    cached = open_cached(source, identity, target, config.out / "cache", progress)
    learned, held = split(cached.names)
    notes = list(cached.notes)
    if config.labelling.folders:
        known = with_labels(cached, range(len(cached)))
        notes.append(f"{known} of {len(cached)} frames have labels of another network")
    return Drive(cached, learned, held, tuple(bags), tuple(notes))


def with_labels(cached: CachedDataset, frames: Iterable[int]) -> int:
    """How many of these frames have labels of another network."""
    return sum(bool((cached.labels[i] != IGNORE).any()) for i in frames)


def split(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames to learn from and of those held back, of every bag by itself.

    Frames are called <bag>/<stamp>, and are in order within a bag.
    """
    learned: list[int] = []
    held: list[int] = []
    for frames in _by_bag(names):
        first = len(frames) - round(len(frames) * HELD_BACK)
        learned += frames[: first - round(len(frames) * GAP)]
        held += frames[first:]
    return np.array(learned, int), np.array(held, int)


def _by_bag(names: list[str]) -> list[list[int]]:
    """The indices of each bag's frames, or of each round of a bag that loops."""
    bags: list[list[int]] = []
    before = ("", 0)
    for index, name in enumerate(names):
        bag, _, stamp = name.rpartition("/")
        if bag != before[0] or int(stamp) < before[1]:
            bags.append([])
        before = (bag, int(stamp))
        bags[-1].append(index)
    return bags
