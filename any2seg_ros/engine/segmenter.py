"""Modality images -> Segmentation, with the weights and the engine that the configuration names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from any2seg_ros import taxonomy
from any2seg_ros.engine import engines
from any2seg_ros.engine.features import Features
from any2seg_ros.engine.gate import Gate, statistics
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network.checkpoints import Metadata, read_header
from any2seg_ros.resources import DEFAULT_WEIGHTS, weights_path
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality, Segmentation, Subset, subset_name

if TYPE_CHECKING:
    from any2seg_ros.network.whole import WholeNetwork

PUBLISHED = (".pth", ".pt", ".bin")
"""Endings of files that published weights come in; ours are safetensors."""


Sure = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""Confidence float32 (H, W) of logits float32 (K, h, w), labels uint8 (H, W), a temperature."""


class NonFiniteOutput(RuntimeError):
    """The network gave NaN or infinity: nothing can be made of it; the text names the fix."""


@dataclass(frozen=True)
class EngineConfig:
    """What runs the network, and where.

    model: a checkpoint, or streets or real of the package; empty for real. engine: auto,
    torch, openvino or onnxruntime. device: auto, cpu, cuda, or a device of OpenVINO's. threads: CPU
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


def whole_engine(network: WholeNetwork, config: EngineConfig) -> engines.Engine:
    """What runs a network that cannot be cut in two: torch alone does; ValueError for others."""
    if config.engine not in ("auto", "torch") or config.precision not in ("auto", "f32"):
        raise ValueError(
            f"{type(network).__name__} runs with torch in float32 only: leave engine and precision "
            "to auto"
        )
    from any2seg_ros.engine.whole_engine import WholeEngine

    return WholeEngine(network, config.device, config.threads)


def _sized(metadata: Metadata, config: EngineConfig) -> Metadata:
    width, height = metadata.size
    return replace(metadata, size=(config.width or width, config.height or height))


def _description(path: Path, backbone: str, metadata: Metadata, engine: engines.Engine) -> str:
    width, height = metadata.size
    terms = f"; {metadata.terms}" if metadata.terms else ""
    return f"{path.name}: {backbone} at {width}x{height}, {engine.description}{terms}"


class Segmenter:
    """A network that is ready to run. Not thread-safe: one thread at a time."""

    def __init__(
        self,
        engine: engines.Engine,
        metadata: Metadata,
        description: str = "",
        backbone: str = "",
    ) -> None:
        self._engine = engine
        self.metadata = metadata
        self.taxonomy: Taxonomy = taxonomy.get(metadata.taxonomy)
        self.size = metadata.size
        """(width, height) that modality images must have."""
        self.description = description or engine.description
        self._gate = Gate.from_metadata(metadata.gate)
        self.backbone = backbone
        """What encodes the images, as tables name it."""
        self.modalities: Subset = tuple(Modality)
        """Whose images the network takes."""
        self.leaves_out = True
        """Whether an absent modality can be left out; otherwise its image is one of zeros."""
        self.output_fault = ""
        """Why the last output of the network is unusable; empty while it is finite."""

    @classmethod
    def open(cls, config: EngineConfig = EngineConfig()) -> Segmenter:
        """Load the weights; FileNotFoundError or ValueError say what is wrong and the fix."""
        path = weights_path(config.model or DEFAULT_WEIGHTS)
        if path.suffix in PUBLISHED:
            return cls._open_published(path, config)
        source = NetworkSource.of_checkpoint(path)
        metadata = _sized(read_header(path).metadata, config)
        name = engines.resolve(config.engine, config.device)
        engine = engines.make(name, source, config.device, config.threads, config.precision)
        told = _description(path, source.encoder, metadata, engine)
        return cls(engine, metadata, told, source.encoder)

    @classmethod
    def _open_published(cls, path: Path, config: EngineConfig) -> Segmenter:
        """A network that others published; see `network.published`."""
        from any2seg_ros.network import Any2Seg, published

        network, metadata = published.load(path)
        metadata = _sized(metadata, config)
        if isinstance(network, Any2Seg):
            name = engines.resolve(config.engine, config.device)
            engine = engines.make(name, network, config.device, config.threads, config.precision)
            backbone = network.config.encoder
            return cls(engine, metadata, _description(path, backbone, metadata, engine), backbone)
        engine, backbone = whole_engine(network, config), network.backbone
        opened = cls(engine, metadata, _description(path, backbone, metadata, engine), backbone)
        opened.modalities, opened.leaves_out = tuple(sorted(network.modalities)), False
        return opened

    def prepare(self, modalities: Iterable[Modality] = tuple(Modality)) -> None:
        """Make the graphs for every subset of `modalities` now, so that no frame waits for one.

        Whatever the gate thinks of what they are tried on. NonFiniteOutput where the network gives
        NaN or infinity.
        """
        width, height = self.size
        ramp = np.linspace(-2, 2, width, dtype=np.float32)  # what images lie between
        image = np.ascontiguousarray(np.broadcast_to(ramp, (3, height, width)))
        for subset in self._engine.subsets_to_prepare(modalities):
            features = self.encode(dict.fromkeys(subset, image))
            for logits, weights in self._fused([features]):
                self._segmentation(subset, (), logits, weights, None, None)
        self._engine.prepared()

    def segment(
        self,
        images: Mapping[Modality, np.ndarray],
        size: tuple[int, int] | None = None,
        sure: Sure | None = None,
    ) -> Segmentation:
        """Segment one frame from any non-empty subset of modality images float32 (3, H, W).

        `size` is the (width, height) of the masks, that of the modality images if not given.
        `sure` makes the confidence, by default that of the class of each pixel.
        """
        return self.fuse(self.encode(images), size, sure)

    def encode(self, images: Mapping[Modality, np.ndarray]) -> dict[Modality, Features]:
        """The encoder's features by modality, in one pass."""
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
        features = self._engine.encode([images[modality] for modality in subset], subset)
        return dict(zip(subset, features, strict=True))

    def fuse(
        self,
        features: Mapping[Modality, Features],
        size: tuple[int, int] | None = None,
        sure: Sure | None = None,
    ) -> Segmentation:
        """Segment from the features of any non-empty subset: encode once, fuse every subset."""
        return self._segmentation(*next(self._logits([features])), size, sure)

    def fuse_all(
        self,
        given: Sequence[Mapping[Modality, Features]],
        size: tuple[int, int] | None = None,
        sure: Sure | None = None,
    ) -> list[Segmentation]:
        """What `fuse` gives for each of many mappings, at less than its cost.

        Features that several mappings share (the very same object) go through the fusion once.
        """
        if not given:
            return []
        pending = [
            self._beside.submit(self._segmentation, *fused, size, sure)
            for fused in self._logits(given)
        ]
        return [coming.result() for coming in pending]

    def logits(self, features: Mapping[Modality, Features]) -> tuple[np.ndarray, np.ndarray]:
        """Logits float32 (K, H/4, W/4) and weights float32 (M,) in vocabulary order."""
        subset, _, logits, weights = next(self._logits([features]))
        shares = dict(zip(subset, weights, strict=True))
        return self._engine.array(logits), np.array([shares.get(m, 0) for m in sorted(features)])

    def array(self, features: Any) -> np.ndarray:
        """What the engine keeps of an image, as an array."""
        return self._engine.array(features)

    def _logits(
        self, given: Sequence[Mapping[Modality, Features]]
    ) -> Iterator[tuple[Subset, Subset, Any, np.ndarray]]:
        """What was fused of each mapping, and what the gate left out; logits (K, H/4, W/4) as the
        engine keeps them, and weights (M,) of what was fused."""
        if not all(given):
            raise ValueError("no features: a frame needs at least one modality")
        believed = self._believed(given)
        fused = self._fused(given) if believed is given else self._fused_of(given, believed)
        for asked, kept, (logits, weights) in zip(given, believed, fused, strict=True):
            subset = tuple(sorted(kept))
            doubted = tuple(m for m in sorted(asked) if m not in kept)
            yield subset, doubted, logits, weights

    def _fused_of(
        self,
        given: Sequence[Mapping[Modality, Features]],
        believed: Sequence[Mapping[Modality, Features]],
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """`_fused` of what is believed. Of many at once those are fused that were given: engines
        make a graph for each list of choices, and what the gate leaves is ever another one."""

        def key(one: Mapping[Modality, Features]) -> tuple[int, ...]:
            return tuple(id(one[m]) for m in sorted(one))

        known = {}
        if len(given) > 1:
            known = dict(zip(map(key, given), self._fused(given), strict=True))
        for one in believed:
            if key(one) not in known:
                known[key(one)] = next(self._fused([one]))
            yield known[key(one)]

    def _fused(
        self, given: Sequence[Mapping[Modality, Features]]
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Of each mapping, logits as the engine keeps them and weights (M,) in vocabulary order."""
        # By modality, for the fusion prefers the first in order where two are equal.
        distinct = {id(one[m]): (m, one[m]) for m in Modality for one in given if m in one}
        number = {key: index for index, key in enumerate(distinct)}
        modalities = [modality for modality, _ in distinct.values()]
        choices = tuple(
            tuple(number[id(features[m])] for m in sorted(features)) for features in given
        )
        own = [features for _, features in distinct.values()]
        logits, weights = self._engine.segment(own, modalities, choices)
        for chosen, one, row in zip(choices, logits, weights, strict=True):
            yield one, row[list(chosen)]

    def _believed(
        self, given: Sequence[Mapping[Modality, Features]]
    ) -> Sequence[Mapping[Modality, Features]]:
        """Each mapping without the sensors that the gate does not believe."""
        if not self._gate.weights:
            return given
        distinct = {id(one[m]): one[m] for one in given for m in one}
        seen = {
            key: statistics([self._engine.array(scale) for scale in features])
            for key, features in distinct.items()
        }
        believed = []
        for one in given:
            kept = self._gate.believed({m: seen[id(one[m])] for m in one})
            believed.append({m: one[m] for m in kept})
        return believed

    def _segmentation(
        self,
        subset: Subset,
        doubted: Subset,
        logits: Any,
        weights: np.ndarray,
        size: tuple[int, int] | None,
        sure: Sure | None,
    ) -> Segmentation:
        self._check(subset, logits, weights)
        temperature = self.metadata.temperatures.get(subset_name(subset), 1.0)
        labels, confidence = self._engine.masks(logits, size or self.size, temperature)
        if sure:
            confidence = sure(self._engine.array(logits), labels, temperature)
        shares = dict.fromkeys(doubted, 0.0)
        shares |= {m: float(w) for m, w in zip(subset, weights, strict=True)}
        return Segmentation(labels, confidence, shares)

    def _check(self, subset: Subset, logits: Any, weights: np.ndarray) -> None:
        """NonFiniteOutput before a mask is made of it; one that is not finite is so in a sum."""
        if np.isfinite(self._engine.total(logits)) and np.isfinite(weights).all():
            self.output_fault = ""
            return
        self.output_fault = (
            f"the network gave NaN or infinity for {subset_name(subset)}: check the modality "
            "images, set precision f32, or fetch the weights again"
        )
        raise NonFiniteOutput(self.output_fault)

    @cached_property
    def _beside(self) -> ThreadPoolExecutor:
        """Threads that make masks: OpenCV and NumPy let go of the interpreter while they work."""
        return ThreadPoolExecutor(os.cpu_count(), "masks")
