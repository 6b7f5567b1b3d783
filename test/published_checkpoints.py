"""What tests of published networks share: checkpoints with random weights, at a small size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from published_reference import Weights

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.types import Modality

SIZE = (96, 64)
ORDER = (Modality.RGB, Modality.DEPTH, Modality.EVENT, Modality.LIDAR)


def saved(folder: Path, weights: Weights, name: str = "net.pth") -> Path:
    torch.save(weights, folder / name)
    return folder / name


def opened(path: Path, engine: str = "torch") -> Segmenter:
    width, height = SIZE
    return Segmenter.open(EngineConfig(str(path), engine, "cpu", 1, "auto", width, height))


def images(seed: int = 0) -> dict[Modality, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (3, SIZE[1], SIZE[0])
    return {m: rng.standard_normal(shape).astype(np.float32) for m in Modality}


def assert_close(found: np.ndarray, expected: torch.Tensor) -> None:
    """Within 1e-5 of the largest logit."""
    assert np.abs(found - expected.numpy()).max() <= 1e-5 * float(expected.abs().max())
