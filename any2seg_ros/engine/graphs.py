"""The two halves of a network as modules of their own, and how engines that compile them run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from any2seg_ros.engine.masks import masks
from any2seg_ros.network import Any2Seg
from any2seg_ros.network.adapters import by_group, mixed
from any2seg_ros.types import Modality

Choices = tuple[tuple[int, ...], ...]
"""Subsets of many maps: which numbers of them each has, at least one."""

Maps = Sequence[Any]
"""An encoder's four maps (C, H/s, W/s) of one image, as the engine that made them keeps them."""


class EncoderGraph(nn.Module):
    """images (N, 3, H, W) of a modality -> four maps (N, C, h, w)."""

    def __init__(self, network: Any2Seg, modality: Modality) -> None:
        super().__init__()
        self.encoder = network.encoder_of(modality)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder(images))


class DecoderGraph(nn.Module):
    """Four maps (M, C, h, w) -> logits (S, K, h, w), weights (S, M) of S choices.

    With adapters, the matrices of the four scales for the choices' group are inputs as well.
    """

    alone: Tensor | None
    present: Tensor | None

    def __init__(self, network: Any2Seg, count: int, choices: Choices) -> None:
        super().__init__()
        self.network = network
        alone = [chosen[0] for chosen in choices if len(chosen) == 1]
        all_alone = len(alone) == len(choices)
        self.register_buffer("alone", torch.tensor(alone) if all_alone else None)
        self.register_buffer("present", presence(count, choices))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        maps, mixing = list(inputs[:4]), inputs[4:]
        if self.alone is None:
            return self.network.segment_alike([m[None] for m in maps], self.present, mixing)
        if mixing:
            maps = [m[0] for m in mixed([m[None] for m in maps], mixing)]
        logits, weights = self.network.segment_alike([m[self.alone, None] for m in maps])
        return logits, weights if self.present is None else self.present.to(weights.dtype)


class GraphEngine:
    """What the engines that compile halves share; see `engines.Engine`."""

    def __init__(self, network: Any2Seg) -> None:
        self._network = network

    def segment(
        self,
        maps: Sequence[Maps],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[Sequence[Any], np.ndarray]:
        wanted = choices or everything(len(modalities))
        if self._network.adapters is None:
            return self._decode(maps, wanted, ())
        logits: list[Any] = [None] * len(wanted)
        weights = np.empty((len(wanted), len(modalities)), np.float32)
        for group, rows in by_group([len(chosen) for chosen in wanted]).items():
            chosen = tuple(wanted[row] for row in rows)
            part, weights[rows] = self._decode(maps, chosen, (group, *modalities))
            for row, one in zip(rows, part, strict=True):
                logits[row] = one
        return logits, weights

    def masks(
        self, logits: Any, size: tuple[int, int], temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return masks(logits, size, temperature)

    def array(self, logits: Any) -> np.ndarray:
        return logits

    def _decode(
        self, maps: Sequence[Maps], choices: Choices, mixing: tuple[int, ...]
    ) -> tuple[Any, np.ndarray]:
        """Run the decoder half of choices that are in one group, with these `_matrices`."""
        raise NotImplementedError

    def _matrices(self, mixing: tuple[int, ...]) -> list[Tensor]:
        """The adapters' matrices for a group and modalities; none without adapters."""
        if self._network.adapters is None:
            return []
        group, *modalities = mixing
        matrices = self._network.adapters.mixing(group, [Modality(m) for m in modalities])
        return [m.detach() for m in matrices]


def stacked(maps: Sequence[Maps]) -> list[np.ndarray]:
    """Four arrays float32 (M, C, h, w) of the maps of M images."""
    return [np.stack(scale, dtype=np.float32) for scale in zip(*maps, strict=True)]


def presence(count: int, choices: Choices) -> Tensor | None:
    """What `Any2Seg.segment` wants for choices of `count` maps; None where all are wanted, once."""
    if choices == everything(count):
        return None
    return torch.tensor([[m in chosen for m in range(count)] for chosen in choices])


def everything(count: int) -> Choices:
    """The one choice of all of `count` maps."""
    return (tuple(range(count)),)
