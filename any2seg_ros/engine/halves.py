"""The two halves of a network as modules of their own, for the engines that compile graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from any2seg_ros.network import Any2Seg

Choices = tuple[tuple[int, ...], ...]
"""Subsets of stacked maps: which numbers of the stack each of them has, at least one."""


class EncoderHalf(nn.Module):
    """images (M, 3, H, W) -> four maps (M, C, h, w)."""

    def __init__(self, network: Any2Seg) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.encoder(images))


class DecoderHalf(nn.Module):
    """Four maps (M, C, h, w) -> logits (S, K, h, w), weights (S, M) of S choices."""

    present: Tensor | None

    def __init__(self, network: Any2Seg, count: int, choices: Choices) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("present", presence(count, choices))

    def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.segment([maps[None] for maps in (a, b, c, d)], self.present)


def presence(count: int, choices: Choices) -> Tensor | None:
    """What `Any2Seg.segment` wants for choices of `count` maps; None where all are wanted, once."""
    if choices == everything(count):
        return None
    return torch.tensor([[m in chosen for m in range(count)] for chosen in choices])


def everything(count: int) -> Choices:
    """The one choice of all of `count` maps."""
    return (tuple(range(count)),)
