"""The two halves of a network as modules of their own, and how engines that compile them run."""

from __future__ import annotations

from collections.abc import Sequence

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


class GraphEngine:
    """What the engines that compile halves share; see `engines.Engine`."""

    def __init__(self, network: Any2Seg) -> None:
        self._network = network

    def segment(
        self,
        maps: Sequence[np.ndarray],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        wanted = choices or everything(len(modalities))
        adapters = self._network.adapters
        if adapters is None:
            return self._decode(maps, wanted)
        rows: list[int] = []
        parts = []
        for count in sorted({len(chosen) for chosen in wanted}):
            alike = [i for i, chosen in enumerate(wanted) if len(chosen) == count]
            mixing = [m.detach().numpy() for m in adapters.mixing(count, modalities)]
            parts.append(self._decode([*maps, *mixing], tuple(wanted[i] for i in alike)))
            rows += alike
        order = np.argsort(rows)
        logits, weights = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
        return logits, weights

    def _decode(
        self, inputs: Sequence[np.ndarray], choices: Choices
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the decoder half of these choices."""
        raise NotImplementedError


def presence(count: int, choices: Choices) -> Tensor | None:
    """What `Any2Seg.segment` wants for choices of `count` maps; None where all are wanted, once."""
    if choices == everything(count):
        return None
    return torch.tensor([[m in chosen for m in range(count)] for chosen in choices])


def everything(count: int) -> Choices:
    """The one choice of all of `count` maps."""
    return (tuple(range(count)),)
