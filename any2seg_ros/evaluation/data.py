"""Evaluated data: folders in a data set's layout give placed frames with their ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from any2seg_ros.engine import Segmenter
from any2seg_ros.evaluation.evaluator import Sample
from any2seg_ros.modalities import Camera, Modality
from any2seg_ros.sensors import Placer, PlacingConfig
from any2seg_ros.training.datasets import DataSet


@dataclass(frozen=True)
class LeftOut:
    """A frame that cannot be scored, and why."""

    reason: str


class Source(Protocol):
    """What an evaluation walks through. `notes` may grow while it is walked.

    modalities: the sensors that the data have.
    """

    name: str
    split: str | None
    notes: list[str]
    modalities: tuple[Modality, ...]

    def __len__(self) -> int:
        """Frames to come, 0 where that is not known beforehand."""

    def samples(self, rank: int, world: int) -> Iterator[Sample | LeftOut]:
        """The frames of one of `world` processes: every world-th, from number `rank` on."""


def placing_config(segmenter: Segmenter) -> PlacingConfig:
    """The knobs of the modality images that the network was trained with."""
    return PlacingConfig(**segmenter.metadata.placing)


class FolderSource:
    """Frames of a data set, placed for a network; `limit` spreads fewer over the whole of it."""

    def __init__(
        self, data: DataSet, segmenter: Segmenter, name: str, split: str, limit: int = 0
    ) -> None:
        if data.taxonomy.name != segmenter.taxonomy.name:
            raise ValueError(
                f"{name} has the classes of {data.taxonomy.name}, the network those of "
                f"{segmenter.taxonomy.name}: use a network trained on such data"
            )
        self.name = name
        self.split: str | None = split
        self.notes: list[str] = []
        self.modalities = tuple(Modality)
        self._data = data
        self._segmenter = segmenter
        self._config = placing_config(segmenter)
        self._placers: dict[Camera, Placer] = {}
        count = len(data)
        if limit and limit < count:
            self._indices = np.unique(np.linspace(0, count - 1, limit).round().astype(int)).tolist()
            self.notes.append(f"limited to {len(self._indices)} of {count} frames")
        else:
            self._indices = list(range(count))

    def __len__(self) -> int:
        return len(self._indices)

    def samples(self, rank: int, world: int) -> Iterator[Sample | LeftOut]:
        for index in self._indices[rank::world]:
            yield self._sample(index)

    def _sample(self, index: int) -> Sample | LeftOut:
        frame = self._data[index]
        if frame.label is None:
            return LeftOut("no ground truth")
        placed = self._placer(self._data.reference(index)).place(frame)
        rgb = frame.measurements.get(Modality.RGB)
        return Sample(
            self._data.name(index),
            placed.images,
            frame.label,
            self._data.conditions(index),
            rgb.data if rgb else None,
            placed.reasons,
        )

    def _placer(self, reference: Camera) -> Placer:
        if reference not in self._placers:
            self._placers[reference] = Placer(reference, self._segmenter.size, self._config)
        return self._placers[reference]
