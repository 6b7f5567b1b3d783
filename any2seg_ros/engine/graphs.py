"""The encoder and the decoder of a network as torch modules of their own, to be converted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from any2seg_ros.engine.features import Choices, everything
from any2seg_ros.network import Any2Seg
from any2seg_ros.types import Modality


class EncoderGraph(nn.Module):
    """images (N, 3, H, W) of a modality -> four feature maps (N, C, h, w)."""

    def __init__(self, network: Any2Seg, modality: Modality) -> None:
        super().__init__()
        self.encoder = network.encoder_of(modality)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder(images))


class DecoderGraph(nn.Module):
    """Features (M, C, h, w) at four scales -> logits (S, K, h, w), weights (S, M) of S choices.

    With adapters, their matrices (M, C, C) at the four scales, for the choices' group by number of
    modalities, are inputs as well; without choices so is, last of all, bool (1, M): which of the M
    are fused. So one graph serves all subsets of M modalities.
    """

    alone: Tensor | None
    present: Tensor | None

    def __init__(self, network: Any2Seg, count: int, choices: Choices | None) -> None:
        super().__init__()
        self.network = network
        alone = [chosen[0] for chosen in choices or () if len(chosen) == 1]
        all_alone = bool(alone) and len(alone) == len(choices or ())
        self.choose = choices is None
        self.register_buffer("alone", torch.tensor(alone) if all_alone else None)
        self.register_buffer("present", presence(count, choices) if choices else None)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        present = inputs[-1] if self.choose else self.present
        features = mixed(inputs[:4], inputs[4:-1] if self.choose else inputs[4:])
        if self.alone is None:
            return self.network.segment_alike([f[None] for f in features], present)
        logits, weights = self.network.segment_alike([f[self.alone, None] for f in features])
        return logits, weights if present is None else present.to(weights.dtype)


def mixed(features: Sequence[Tensor], matrices: Sequence[Tensor]) -> list[Tensor]:
    """Features (M, C, h, w) at four scales through the adapters' matrices (M, C, C), if any.

    What `adapters.mixed` computes, as products of matrices: these take inputs as cheaply as
    constants, and need no other layout.
    """
    if not matrices:
        return list(features)
    return [
        torch.matmul(by, scale.flatten(2)).unflatten(2, scale.shape[2:])
        for scale, by in zip(features, matrices, strict=True)
    ]


def presence(count: int, choices: Choices) -> Tensor | None:
    """What `Any2Seg.segment` wants for choices of `count` images; None where all are wanted."""
    if choices == everything(count):
        return None
    return torch.tensor([[m in chosen for m in range(count)] for chosen in choices])
