"""The network that a run begins with, and which of its parts learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.efficientnet import EfficientNetLite0
from any2seg_ros.network.mit import MiT
from any2seg_ros.network.pretrained import load_encoder, load_head
from any2seg_ros.training.config import TrainingConfig


def build(config: TrainingConfig, classes: int) -> Any2Seg:
    """The network of a run, with its initial weights; the same for the same seed."""
    torch.manual_seed(config.seed)
    network = Any2Seg(replace(config.network, classes=classes))
    initial = config.initial
    ours = initial.endswith(".safetensors") and _is_ours(Path(initial))
    if config.blend and not ours:
        raise ValueError("blend needs an Any2Seg checkpoint as initial, to be averaged with it")
    if ours:
        loaded, _ = checkpoints.load(Path(initial))
        mine = network.config
        if replace(loaded.config, refine=mine.refine, dropout=mine.dropout) != mine:
            raise ValueError(f"{initial} holds another network ({loaded.config})")
        # Blocks that refine add to what comes in: they may be added, as nothing, and left out.
        given = loaded.state_dict()
        if config.blend:
            given = _blended(given, Path(config.blend), config.blend_share)
        network.load_state_dict({n: given.get(n, t) for n, t in network.state_dict().items()})
    elif initial:
        load_encoder(network, initial)
        if initial != "imagenet" and isinstance(network.encoders[0], MiT):
            load_head(network, initial)
    for part in frozen_parts(network, config):
        part.requires_grad_(False)
    return network


def frozen_parts(network: Any2Seg, config: TrainingConfig) -> list[nn.Module]:
    """What keeps its weights: all but the adapters, or the stem and the first stages of each
    EfficientNet-Lite0, and nothing of a MiT."""
    if config.trained == "adapters":
        return [network.encoder, network.decoder]
    parts: list[nn.Module] = []
    for encoder in network.encoders:
        if config.frozen_stages and isinstance(encoder, EfficientNetLite0):
            parts += [encoder.stem, *encoder.stages[: config.frozen_stages]]
    return parts


def train_mode(network: Any2Seg, config: TrainingConfig) -> None:
    """Training mode, but for what is frozen: its norms keep their statistics."""
    network.train()
    for part in frozen_parts(network, config):
        part.eval()


def _blended(given: Mapping[str, Tensor], path: Path, share: float) -> dict[str, Tensor]:
    """`given` with a share of the weights of another Any2Seg of the same shape."""
    other = checkpoints.load(path)[0].state_dict()
    if {n: t.shape for n, t in other.items()} != {n: t.shape for n, t in given.items()}:
        raise ValueError(f"{path} holds another network than initial: they cannot be averaged")
    return {
        name: tensor.lerp(other[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in given.items()
    }


def _is_ours(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format") == checkpoints.FORMAT
    except (SafetensorError, OSError):
        return False
