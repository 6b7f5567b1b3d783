"""Modality images -> Segmentation, with the weights and the engine that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros import taxonomy
from any2seg_ros.engine import engines
from any2seg_ros.modalities import Modality, Segmentation, subset_name
from any2seg_ros.network import checkpoints
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.resources import find
from any2seg_ros.taxonomy import Taxonomy

DEFAULT_MODEL = "models/any2seg_streets.safetensors"

Maps = list[np.ndarray]
"""The encoder's four maps of one modality, float32 (C, H/s, W/s)."""


@dataclass(frozen=True)
class EngineConfig:
    """What runs the network, and where.

    model: a checkpoint; empty for the weights that come with the package. engine: auto, torch,
    openvino or onnxruntime. device: auto, cpu, cuda, or a device of OpenVINO's. threads: CPU
    threads; 0 leaves it to the engine. precision: auto, f32, bf16, f16 (torch on CUDA: auto is
    f16 mixed precision; on CPUs auto is what the CPU has natively).
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
        self.description = description or engine.description

    @classmethod
    def open(cls, config: EngineConfig = EngineConfig()) -> Segmenter:
        """Load the weights; FileNotFoundError or ValueError say what is wrong and the mend."""
        path = Path(config.model) if config.model else find(DEFAULT_MODEL)
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

    def prepare(self, modalities: int = len(Modality)) -> None:
        """Make the graphs for 1 to `modalities` modalities now, so that no frame waits for one."""
        width, height = self.size
        for count in range(1, modalities + 1):
            blank = np.zeros((3, height, width), np.float32)
            self.segment({modality: blank for modality in list(Modality)[:count]})

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
        batch = np.stack([images[modality] for modality in subset], dtype=np.float32)
        stacks = self._engine.encode(batch)
        return {modality: [maps[i] for maps in stacks] for i, modality in enumerate(subset)}

    def fuse(
        self, maps: Mapping[Modality, Maps], size: tuple[int, int] | None = None
    ) -> Segmentation:
        """Segment from the maps of any non-empty subset: encode once, fuse every subset."""
        subset = sorted(maps)
        if not subset:
            raise ValueError("no maps: a frame needs at least one modality")
        logits, weights = self.logits(maps)
        labels, confidence = masks(
            logits, size or self.size, self.metadata.temperatures.get(subset_name(subset), 1.0)
        )
        return Segmentation(
            labels, confidence, {m: float(w) for m, w in zip(subset, weights, strict=True)}
        )

    def logits(self, maps: Mapping[Modality, Maps]) -> tuple[np.ndarray, np.ndarray]:
        """Logits float32 (K, H/4, W/4) and weights float32 (M,) in vocabulary order."""
        stacks = [np.stack(scale) for scale in zip(*(maps[m] for m in sorted(maps)), strict=True)]
        return self._engine.segment(stacks)


def masks(
    logits: np.ndarray, size: tuple[int, int], temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """logits float32 (K, h, w) -> labels uint8 (H, W), confidence float32 (H, W) in 0..1.

    Labels are the argmax of the logits upsampled to `size` (width, height). The confidence is the
    largest softmax of logits / temperature, at twice the size of the logits and upsampled from
    there: a fraction of the exponentials for a map that is smooth between them anyway.
    """
    return _labels(logits, size), _confidence(logits, size, temperature)


def _labels(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    best = cv2.resize(logits[0], size, interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(best.shape, np.uint8)
    plane = np.empty_like(best)
    # A class whose largest logit is nowhere the largest of a pixel cannot win anywhere.
    floor = logits.max(0).min()
    for k in range(1, len(logits)):
        if logits[k].max() < floor:
            continue
        cv2.resize(logits[k], size, dst=plane, interpolation=cv2.INTER_LINEAR)
        np.copyto(labels, k, where=plane > best)
        cv2.max(best, plane, dst=best)
    return labels


def _confidence(logits: np.ndarray, size: tuple[int, int], temperature: float) -> np.ndarray:
    twice = (2 * logits.shape[2], 2 * logits.shape[1])
    planes = [cv2.resize(plane, twice, interpolation=cv2.INTER_LINEAR) for plane in logits]
    scaled = np.stack(planes)
    scaled -= scaled.max(0)
    scaled *= np.float32(1 / temperature)
    np.exp(scaled, out=scaled)
    return cv2.resize(1 / scaled.sum(0), size, interpolation=cv2.INTER_LINEAR)
