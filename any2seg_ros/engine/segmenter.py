"""Modality images -> Segmentation, with the weights and the engine that the configuration names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from any2seg_ros import taxonomy
from any2seg_ros.engine import engines
from any2seg_ros.engine.gate import Gate, statistics
from any2seg_ros.engine.graphs import Maps
from any2seg_ros.network import checkpoints
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.resources import weights_path
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality, Segmentation, Subset, all_subsets, subset_name

DEFAULT_MODEL = "streets"
"""Of the weights that come with the package, those that run where none are named."""


@dataclass(frozen=True)
class EngineConfig:
    """What runs the network, and where.

    model: a checkpoint; real or streets for those that come with the package, empty for the
    default. engine: auto, torch,
    openvino or onnxruntime. device: auto, cpu, cuda, or a device of OpenVINO's. threads: CPU
    threads; 0 leaves it to the engine. precision: auto, f32, bf16, f16; auto is f16 mixed precision
    with torch on CUDA, what the CPU has natively with OpenVINO, else f32.
    """

    model: str = ""
    engine: str = "auto"
    device: str = "auto"
    threads: int = 0
    precision: str = "auto"
    width: int = 0
    """px of the modality images; 0 for those the network was trained on. Fewer are faster."""
    height: int = 0


class Segmenter:
    """A network that is ready to run. Not thread-safe: one thread at a time."""

    def __init__(self, engine: engines.Engine, metadata: Metadata, description: str = "") -> None:
        self._engine = engine
        self.metadata = metadata
        self.taxonomy: Taxonomy = taxonomy.get(metadata.taxonomy)
        self.size = metadata.size
        """(width, height) that modality images must have."""
        self._gate = Gate.from_metadata(metadata.gate)
        self.description = description or engine.description

    @classmethod
    def open(cls, config: EngineConfig = EngineConfig()) -> Segmenter:
        """Load the weights; FileNotFoundError or ValueError say what is wrong and the mend."""
        path = weights_path(config.model or DEFAULT_MODEL)
        network, metadata = checkpoints.load(path)
        width, height = metadata.size
        metadata = replace(metadata, size=(config.width or width, config.height or height))
        name = engines.resolve(config.engine, config.device)
        engine = engines.make(name, network, config.device, config.threads, config.precision)
        width, height = metadata.size
        return cls(
            engine,
            metadata,
            f"{path.name}: {network.config.encoder} at {width}x{height}, {engine.description}",
        )

    def prepare(self, modalities: Iterable[Modality] = tuple(Modality)) -> None:
        """Make the graphs for every subset of `modalities` now, so that no frame waits for one."""
        width, height = self.size
        blank = np.zeros((3, height, width), np.float32)
        for subset in all_subsets(modalities):
            self.segment(dict.fromkeys(subset, blank))

    def segment(
        self, images: Mapping[Modality, np.ndarray], size: tuple[int, int] | None = None
    ) -> Segmentation:
        """Segment one frame from any non-empty subset of modality images float32 (3, H, W).

        `size` is the (width, height) of the masks, that of the modality images if not given.
        """
        return self.fuse(self.encode(images), size)

    def encode(self, images: Mapping[Modality, np.ndarray]) -> dict[Modality, Maps]:
        """The encoder's maps by modality, in one pass."""
        subset = sorted(images)
        if not subset:
            raise ValueError("no modality image: a frame needs at least one")
        width, height = self.size
        for modality in subset:
            if images[modality].shape != (3, height, width):
                raise ValueError(
                    f"the {modality.label} image is {images[modality].shape}, "
                    f"but these weights need (3, {height}, {width})"
                )
        maps = self._engine.encode([images[modality] for modality in subset], subset)
        return dict(zip(subset, maps, strict=True))

    def fuse(
        self, maps: Mapping[Modality, Maps], size: tuple[int, int] | None = None
    ) -> Segmentation:
        """Segment from the maps of any non-empty subset: encode once, fuse every subset."""
        return self._segmentation(*next(self._logits([maps])), size)

    def fuse_all(
        self, given: Sequence[Mapping[Modality, Maps]], size: tuple[int, int] | None = None
    ) -> list[Segmentation]:
        """What `fuse` gives for each of many mappings, at less than its cost.

        Maps that several mappings share (the very same object) go through the fusion once.
        """
        if not given:
            return []
        pending = [
            self._beside.submit(self._segmentation, *fused, size) for fused in self._logits(given)
        ]
        return [coming.result() for coming in pending]

    def logits(self, maps: Mapping[Modality, Maps]) -> tuple[np.ndarray, np.ndarray]:
        """Logits float32 (K, H/4, W/4) and weights float32 (M,) in vocabulary order."""
        subset, _, logits, weights = next(self._logits([maps]))
        shares = dict(zip(subset, weights, strict=True))
        return self._engine.array(logits), np.array([shares.get(m, 0) for m in sorted(maps)])

    def array(self, features: Any) -> np.ndarray:
        """What the engine keeps of an image, as an array."""
        return self._engine.array(features)

    def _logits(
        self, given: Sequence[Mapping[Modality, Maps]]
    ) -> Iterator[tuple[Subset, Subset, Any, np.ndarray]]:
        """What was fused of each mapping, and what the gate left out; logits (K, H/4, W/4) as the
        engine keeps them, and weights (M,) of what was fused."""
        if not all(given):
            raise ValueError("no maps: a frame needs at least one modality")
        asked = [tuple(sorted(maps)) for maps in given]
        given = self._believed(given)
        # By modality, for the fusion prefers the first in order where two are equal.
        distinct = {id(maps[m]): (m, maps[m]) for m in Modality for maps in given if m in maps}
        number = {key: index for index, key in enumerate(distinct)}
        modalities = [modality for modality, _ in distinct.values()]
        subsets = [tuple(sorted(maps)) for maps in given]
        choices = tuple(
            tuple(number[id(maps[m])] for m in subset)
            for maps, subset in zip(given, subsets, strict=True)
        )
        own = [maps for _, maps in distinct.values()]
        logits, weights = self._engine.segment(own, modalities, choices)
        for all_, subset, chosen, one, row in zip(
            asked, subsets, choices, logits, weights, strict=True
        ):
            doubted = tuple(m for m in all_ if m not in subset)
            yield subset, doubted, one, row[list(chosen)]

    def _believed(
        self, given: Sequence[Mapping[Modality, Maps]]
    ) -> Sequence[Mapping[Modality, Maps]]:
        """Each mapping without the sensors that the gate does not believe."""
        if not self._gate.weights:
            return given
        distinct = {id(maps[m]): maps[m] for maps in given for m in maps}
        seen = {
            key: statistics([self._engine.array(scale) for scale in maps])
            for key, maps in distinct.items()
        }
        believed = []
        for maps in given:
            kept = self._gate.believed({m: seen[id(maps[m])] for m in maps})
            believed.append({m: maps[m] for m in kept})
        return believed

    def _segmentation(
        self,
        subset: Subset,
        doubted: Subset,
        logits: Any,
        weights: np.ndarray,
        size: tuple[int, int] | None,
    ) -> Segmentation:
        temperature = self.metadata.temperatures.get(subset_name(subset), 1.0)
        labels, confidence = self._engine.masks(logits, size or self.size, temperature)
        shares = dict.fromkeys(doubted, 0.0)
        shares |= {m: float(w) for m, w in zip(subset, weights, strict=True)}
        return Segmentation(labels, confidence, shares)

    @cached_property
    def _beside(self) -> ThreadPoolExecutor:
        """Threads that make masks: OpenCV and NumPy let go of the interpreter while they work."""
        return ThreadPoolExecutor(os.cpu_count(), "masks")
