"""Several data sets trained on together: their shares of a batch, and one numbering of labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.types import IGNORE


class Mixture:
    """Cached data sets and the share of each in every batch.

    classes: K of the network. Labels are renumbered: the classes first, then what stands for
    several of them in any set. taught: of which sets a frozen teacher knows the sensors. foreign:
    what each set's `AugmentationConfig.foreign` is multiplied by.
    """

    def __init__(
        self,
        sets: Sequence[CachedDataset],
        classes: int,
        shares: Sequence[float] = (),
        taught: Sequence[bool] = (),
        foreign: Sequence[float] = (),
        preprocessing: PreprocessingConfig | None = None,
    ) -> None:
        self.sets = list(sets)
        self.shares = list(shares) or [float(len(cached)) for cached in sets]
        self.taught = list(taught) or [True] * len(self.sets)
        self.foreign = list(foreign) or [1.0] * len(self.sets)
        self.preprocessing = preprocessing or PreprocessingConfig()
        self.frames = [np.flatnonzero(cached.present.any(1)) for cached in sets]
        if not all(len(frames) for frames in self.frames):
            raise ValueError("no training frame has a usable measurement")
        groups = [frozenset([i]) for i in range(classes)]
        groups += [frozenset(group) for cached in sets for group in cached.groups]
        self._groups = list(dict.fromkeys(groups))
        if len(self._groups) > IGNORE:
            raise ValueError(
                f"the labels of all sets stand for more than {IGNORE} different things"
            )
        self._classes = classes

    @cached_property
    def members(self) -> np.ndarray:
        """bool (256, K): which classes a label stands for; 255 for none."""
        members = np.zeros((256, self._classes), bool)
        for index, group in enumerate(self._groups):
            members[index, sorted(group)] = True
        return members

    @property
    def grouped(self) -> bool:
        """Whether any label stands for several classes."""
        return len(self._groups) > self._classes

    @cached_property
    def values(self) -> list[np.ndarray]:
        """For each set, its label values renumbered, uint8 (256,)."""
        tables = []
        for cached in self.sets:
            table = np.full(256, IGNORE, np.uint8)
            table[: len(cached.groups)] = [self._groups.index(frozenset(g)) for g in cached.groups]
            tables.append(table)
        return tables

    def places(self, batch: int) -> list[tuple[int, int, int]]:
        """For each place in a batch: its set, the how-manyth of that set's it is, and of how many.

        Whole numbers nearest to the shares, at least one of each set, in turn, so that processes
        that share a batch have all of them. ValueError for a batch too small for that.
        """
        if batch < len(self.sets):
            raise ValueError(f"a batch of {batch} has no place for each of {len(self.sets)} sets")
        wanted = np.array(self.shares) / sum(self.shares) * batch
        counts = np.maximum(np.floor(wanted).astype(int), 1)
        while counts.sum() > batch:
            counts[np.argmax(np.where(counts > 1, counts - wanted, -np.inf))] -= 1
        while counts.sum() < batch:
            counts[np.argmax(wanted - counts)] += 1
        due = [((nth + 0.5) / n, s, nth, int(n)) for s, n in enumerate(counts) for nth in range(n)]
        return [(s, nth, n) for _, s, nth, n in sorted(due)]

    def sample_of_labels(self, frames: int = 400) -> np.ndarray:
        """Renumbered labels of frames of all sets, by their shares, uint8 (n,): how often each is
        met in training."""
        parts = []
        for cached, values, share in zip(self.sets, self.values, self.shares, strict=True):
            count = max(1, round(frames * share / sum(self.shares)))
            for index in np.linspace(0, len(cached) - 1, count).round().astype(int):
                parts.append(values[cached.labels[index, ::4, ::4]].ravel())
        return np.concatenate(parts)
