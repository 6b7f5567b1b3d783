"""The two halves of a network as modules of their own, for the engines that compile graphs."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Four maps (M, C, h, w) -> logits (S, K, h, w), weights (S, M) of S choices."""

    present: Tensor | None

    def __init__(self, network: Any2Seg, modalities: Sequence[Modality], choices: Choices) -> None:
        super().__init__()
        self.network = network
        self.modalities = modalities
        self.register_buffer("present", presence(len(modalities), choices))

    def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        maps = [scale[None] for scale in (a, b, c, d)]
        return self.network.segment(maps, self.present, self.modalities)


def tells_apart(network: Any2Seg, modalities: Sequence[Modality]) -> tuple[int, ...]:
    """What the decoder half is made from besides shapes and choices: whose maps come, if it
    matters."""
    return tuple(modalities) if network.adapters else ()


def presence(count: int, choices: Choices) -> Tensor | None:
    """What `Any2Seg.segment` wants for choices of `count` maps; None where all are wanted, once."""
    if choices == everything(count):
        return None
    return torch.tensor([[m in chosen for m in range(count)] for chosen in choices])


def everything(count: int) -> Choices:
    """The one choice of all of `count` maps."""
    return (tuple(range(count)),)
