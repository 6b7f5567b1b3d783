"""A small network with random weights, for tests: what it says is nonsense, how is not."""

from __future__ import annotations

from pathlib import Path

import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata


def segmenter(folder: Path) -> Segmenter:
    """The network, saved as `tiny.safetensors` in a folder and loaded with torch."""
    torch.manual_seed(1)
    path = folder / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    return Segmenter.open(EngineConfig(str(path), "torch", "cpu", threads=1))
