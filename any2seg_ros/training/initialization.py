"""The network that a run starts from, and which of its parts are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.network.asymmetric import make_network
from any2seg_ros.network.efficientnet import EfficientNetLite
from any2seg_ros.network.mit import MiT
from any2seg_ros.network.pretrained import load_encoder, load_head
from any2seg_ros.resources import weights_path
from any2seg_ros.training.config import TrainingConfig
from any2seg_ros.types import Modality


def check_files(config: TrainingConfig) -> None:
    """FileNotFoundError where weights or captions that the run needs are missing."""
    unused: set[str] = set()
    if not config.losses.intra_modal:
        unused |= {"losses.text_teacher"}
    if not config.losses.inter_modal:
        unused |= {"losses.image_teacher", "losses.captions"}
    for key, path in config.files().items():
        if key not in unused and not path.exists():
            raise FileNotFoundError(
                f"{key}: there is nothing at {path}: correct the path, or make it first "
                "(docs/training.md has the order of the recipes)"
            )


def build(
    config: TrainingConfig, classes: int, report: Callable[[str], None] = lambda line: None
) -> Any2Seg:
    """The network of a run, with its initial weights; the same for the same seed."""
    torch.manual_seed(config.seed)
    init_from = str(weights_path(config.init_from)) if config.init_from else ""
    ours = init_from.endswith(".safetensors") and _is_ours(Path(init_from))
    if config.blend and not ours:
        raise ValueError("blend needs an Any2Seg checkpoint as init_from to be averaged with")
    loaded = checkpoints.load(Path(init_from))[0] if ours else None
    network = make_network(replace(_shape(config, loaded), classes=classes))
    config.check_trained(network.config)
    if loaded is not None:
        _check_alike(loaded, network, init_from)
        # Refine blocks are residual: new ones start as the identity, and any may be left out.
        given = loaded.state_dict()
        if config.blend:
            given = _blended(given, weights_path(config.blend), config.blend_share)
        network.load_state_dict({n: given.get(n, t) for n, t in network.state_dict().items()})
    elif init_from:
        load_encoder(network, init_from)
        mit = isinstance(network.encoders[0], MiT)
        if init_from != "imagenet" and mit and not load_head(network, init_from):
            report(
                f"{init_from} has no decoder of network.width {network.config.width}: the decoder "
                "starts from random weights"
            )
    for part in frozen_parts(network, config):
        part.requires_grad_(False)
    return network


def _shape(config: TrainingConfig, loaded: Any2Seg | None) -> NetworkConfig:
    """The network to train: that of the weights, unless the configuration describes another."""
    untold = config.network == NetworkConfig()
    return loaded.config if untold and loaded is not None else config.network


def frozen_parts(network: Any2Seg, config: TrainingConfig) -> list[nn.Module]:
    """The modules that are frozen: all but the adapters; or the decoder, the encoders of frozen
    sensors, and the stem and first stages of each EfficientNet-Lite; none of a MiT."""
    if config.trainable == "adapters":
        return [network.encoder, network.decoder]
    parts: list[nn.Module] = [network.encoder_of(m) for m in frozen_sensors(config)]
    if config.trainable == "encoders":
        parts.append(network.decoder)
    for encoder in network.encoders:
        if config.frozen_stages and isinstance(encoder, EfficientNetLite):
            parts += [encoder.stem, *encoder.stages[: config.frozen_stages]]
    return parts


def frozen_sensors(config: TrainingConfig) -> list[Modality]:
    """The sensors whose encoder and adapters are frozen."""
    return [m for m in Modality if m.label in config.frozen_sensors]


def train_mode(network: Any2Seg, config: TrainingConfig) -> None:
    """Training mode, except for frozen modules and frozen norms, which keep their statistics."""
    network.train()
    for part in frozen_parts(network, config):
        part.eval()
    if config.frozen_norms:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _check_alike(loaded: Any2Seg, network: Any2Seg, init_from: str) -> None:
    """ValueError where a checkpoint differs in more than dropout and refine blocks."""
    theirs, mine = asdict(loaded.config), asdict(network.config)
    differing = [k for k in mine if k not in ("refine", "dropout") and theirs[k] != mine[k]]
    if differing:
        keys = ", ".join(f"network.{k} is {theirs[k]}, not {mine[k]}" for k in differing)
        raise ValueError(
            f"{init_from} holds another architecture: its {keys}; change one of the two"
        )


def _blended(given: Mapping[str, Tensor], path: Path, share: float) -> dict[str, Tensor]:
    """`given` with a share of the weights of another Any2Seg of the same shape."""
    other = checkpoints.load(path)[0].state_dict()
    if {n: t.shape for n, t in other.items()} != {n: t.shape for n, t in given.items()}:
        raise ValueError(
            f"{path} holds another architecture than init_from: they cannot be averaged"
        )
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
