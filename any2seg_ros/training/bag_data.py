"""Bags with ground truth as a data set, placed by the code that the node runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from any2seg_ros.engine import Segmenter
from any2seg_ros.evaluation.bag_source import BagSource
from any2seg_ros.evaluation.evaluator import Sample
from any2seg_ros.modalities import Modality
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.sensors import PlacingConfig
from any2seg_ros.taxonomy import DELIVER


class BagData:
    """The frames of a bag that have a label (ids of DELIVER's classes). All are one split.

    Sensors' health and events have a past, so that frames come in order only: `placed` walks them.
    ValueError where the bag has no ground truth.
    """

    taxonomy = DELIVER

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._names = [sample.name for sample in self._samples((32, 18), PlacingConfig())]
        if not self._names:
            raise ValueError(f"{self.root} has no frame with a label")

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """`<bag>/<stamp>`."""
        return self._names[index]

    def conditions(self, index: int) -> tuple[str, ...]:
        """Bags do not tell."""
        return ()

    def placed(
        self, size: tuple[int, int], placing: PlacingConfig
    ) -> Iterator[tuple[Mapping[Modality, np.ndarray], np.ndarray, Mapping[Modality, str]]]:
        """Modality images, label and what was wrong, frame by frame."""
        for sample in self._samples(size, placing):
            yield sample.images, sample.label, sample.reasons

    def _samples(self, size: tuple[int, int], placing: PlacingConfig) -> Iterator[Sample]:
        metadata = Metadata(self.taxonomy.name, size, placing=asdict(placing))
        shape: Any = SimpleNamespace(metadata=metadata, size=size, taxonomy=self.taxonomy)
        source = BagSource(self.root.name, [self.root], cast(Segmenter, shape))
        for sample in source.samples(0, 1):
            if isinstance(sample, Sample):
                yield sample
