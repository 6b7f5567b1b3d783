"""The two halves of a network as modules of their own, for the engines that compile graphs."""

from __future__ import annotations

from torch import Tensor, nn

from any2seg_ros.network import Any2Seg


class EncoderHalf(nn.Module):
    """images (M, 3, H, W) -> four maps (M, C, h, w)."""

    def __init__(self, network: Any2Seg) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.encoder(images))


class DecoderHalf(nn.Module):
    """Four maps (M, C, h, w) -> logits (K, h, w), weights (M,)."""

    def __init__(self, network: Any2Seg) -> None:
        super().__init__()
        self.network = network

    def forward(self, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        logits, weights = self.network.segment([maps[None] for maps in (a, b, c, d)])
        return logits[0], weights[0]
