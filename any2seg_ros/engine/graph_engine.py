"""What the engines share that run encoder and decoder as graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from any2seg_ros.engine.features import Choices, Features, everything
from any2seg_ros.engine.masks import masks, total
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network.modality_groups import by_group
from any2seg_ros.types import Modality, Subset, all_subsets

Mixing = tuple[int, ...]
"""Whose adapters are used: a group by number of modalities and the modalities; empty without."""


class GraphEngine:
    """See `engines.Engine`."""

    def __init__(self, source: NetworkSource) -> None:
        self._source = source

    def subsets_to_prepare(self, modalities: Iterable[Modality]) -> list[Subset]:
        """The subsets of `modalities` that must have been segmented once for all graphs to be
        there."""
        return all_subsets(modalities)

    def prepared(self) -> None:
        """Those subsets have been segmented."""

    def segment(
        self,
        features: Sequence[Features],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[Sequence[Any], np.ndarray]:
        wanted = choices or everything(len(modalities))
        if not self._source.has_adapters:
            return self._decode(features, wanted, ())
        logits: list[Any] = [None] * len(wanted)
        weights = np.empty((len(wanted), len(modalities)), np.float32)
        for group, rows in by_group([len(chosen) for chosen in wanted]).items():
            chosen = tuple(wanted[row] for row in rows)
            part, weights[rows] = self._decode(features, chosen, (group, *modalities))
            for row, one in zip(rows, part, strict=True):
                logits[row] = one
        return logits, weights

    def masks(
        self, logits: Any, size: tuple[int, int], temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return masks(logits, size, temperature)

    def array(self, logits: Any) -> np.ndarray:
        return logits

    def total(self, logits: Any) -> float:
        return total(logits)

    def _decode(
        self, features: Sequence[Features], choices: Choices, mixing: Mixing
    ) -> tuple[Any, np.ndarray]:
        """Run the decoder graph of choices that are in one group by number of modalities."""
        raise NotImplementedError

    def _matrices(self, mixing: Mixing) -> list[np.ndarray]:
        if not mixing:
            return []
        group, *modalities = mixing
        return self._source.mixing(group, [Modality(m) for m in modalities])
