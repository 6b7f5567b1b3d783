"""The two halves of a network as modules of their own, for the engines that compile graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from any2seg_ros.modalities import Modality
from any2seg_ros.network import Any2Seg

Choices = tuple[tuple[int, ...], ...]
"""Subsets of stacked maps: which numbers of the stack each of them has, at least one."""


class EncoderHalf(nn.Module):
    """images (N, 3, H, W) of a modality -> four maps (N, C, h, w)."""

    def __init__(self, network: Any2Seg, modality: Modality) -> None:
        super().__init__()
        self.encoder = network.encoder_of(modality)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder(images))


class DecoderHalf(nn.Module):
    """Four maps (M, C, h, w) -> logits (S, K, h, w), weights (S, M) of S choices.

    With adapters, choices are of one size, and the matrices of the four scales are inputs as well:
    so the modalities themselves do not shape a graph.
    """

    present: Tensor | None

    def __init__(self, network: Any2Seg, count: int, choices: Choices) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("present", presence(count, choices))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        maps = [scale[None] for scale in inputs[:4]]
        fused, weights = self.network.fuse_alike(maps, self.present, inputs[4:])
        return self.network.decoder(fused), weights


def segment_alike(
    network: Any2Seg,
    maps: Sequence[np.ndarray],
    modalities: Sequence[Modality],
    choices: Choices,
    run: Callable[[Sequence[np.ndarray], Choices], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and weights of all choices; `run` is given a decoder half's inputs, and choices that
    one half serves."""
    if network.adapters is None:
        return run(maps, choices)
    rows: list[int] = []
    parts = []
    for count in sorted({len(chosen) for chosen in choices}):
        alike = [i for i, chosen in enumerate(choices) if len(chosen) == count]
        mixing = [m.detach().numpy() for m in network.adapters.mixing(count, modalities)]
        parts.append(run([*maps, *mixing], tuple(choices[i] for i in alike)))
        rows += alike
    order = np.argsort(rows)
    logits, weights = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
    return logits, weights


def presence(count: int, choices: Choices) -> Tensor | None:
    """What `Any2Seg.segment` wants for choices of `count` maps; None where all are wanted, once."""
    if choices == everything(count):
        return None
    return torch.tensor([[m in chosen for m in range(count)] for chosen in choices])


def everything(count: int) -> Choices:
    """The one choice of all of `count` maps."""
    return (tuple(range(count)),)
