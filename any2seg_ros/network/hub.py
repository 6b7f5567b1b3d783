"""The hub of CMNeXt (Zhang et al., CVPR 2023): what all modalities but the leading one go through.

At each of four scales the other modalities are embedded by the same convolution, weighted pixel by
pixel, and the greatest of them at each place goes on as one map, through blocks that mix by
pooling. That map and the leading branch's rectify each other and are fused by attention across
both, as in CMX (Liu et al., T-ITS 2023). Structure and sizes are those of the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = (3, 7, 11)
"""Widths that a block pools over."""


@dataclass(frozen=True)
class HubConfig:
    """Size of a hub; four numbers are one a scale.

    others: how many modalities go through it. expansions: of the blocks' channels. published_order:
    maps are handed on from scale to scale as the published weights were trained with it: their
    memory is read as (H, W, C), although it holds (C, H, W).
    """

    channels: tuple[int, ...]
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (1, 2, 4, 8)
    expansions: tuple[int, ...] = (8, 8, 4, 4)
    others: int = 3
    published_order: bool = False


class Hub(nn.Module):
    """Four `HubScale`s; the leading branch is run scale by scale beside them."""

    def __init__(self, config: HubConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(HubScale(config, i) for i in range(len(config.channels)))


class HubScale(nn.Module):
    """One scale: the leading map and the other modalities' in, rectified, fused and handed on."""

    def __init__(self, config: HubConfig, index: int) -> None:
        super().__init__()
        channels, others = config.channels[index], config.others
        inputs, kernel, stride = (3, 7, 4) if index == 0 else (config.channels[index - 1], 3, 2)
        self.published_order = config.published_order
        self.embed = nn.Conv2d(inputs, channels, kernel, stride, kernel // 2)
        self.embed_norms = nn.ModuleList(ChannelNorm(channels) for _ in range(others))
        self.scores = nn.ModuleList(Score(channels) for _ in range(others if others > 1 else 0))
        expansion = config.expansions[index]
        self.blocks = nn.ModuleList(
            PoolingBlock(channels, expansion) for _ in range(config.depths[index])
        )
        self.norm = ChannelNorm(channels)
        self.rectify = Rectify(channels)
        self.fuse = CrossFuse(channels, config.heads[index])

    def forward(
        self, lead: Tensor, others: Sequence[Tensor], present: Tensor | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """lead (B, C, h, w), others' maps of the scale before -> lead, fused, others.

        `present` bool (B, N): of others that are not, nothing is taken, unless none is.
        """
        maps = [
            norm(self.embed(other)) for norm, other in zip(self.embed_norms, others, strict=True)
        ]
        if len(maps) > 1:
            maps = [m * s(m) + m for m, s in zip(maps, self.scores, strict=True)]
        merged = self._greatest(maps, present)
        for block in self.blocks:
            merged = block(merged)
        lead, merged = self.rectify(lead, self.norm(merged))
        fused = self.fuse(lead, merged)
        if len(maps) == 1:
            return lead, fused, [merged]
        return lead, fused, [self._handed_on(m) + merged for m in maps]

    def _greatest(self, maps: Sequence[Tensor], present: Tensor | None) -> Tensor:
        stack = torch.stack(tuple(maps), 1)
        if present is not None:
            absent = ~present & present.any(1, keepdim=True)
            stack = stack.masked_fill(absent[:, :, None, None, None], -torch.inf)
        return stack.amax(1)

    def _handed_on(self, features: Tensor) -> Tensor:
        if not self.published_order:
            return features
        n, channels, height, width = features.shape
        return features.reshape(n, height, width, channels).permute(0, 3, 1, 2)


class ChannelNorm(nn.Module):
    """A layer norm over the channels of maps (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        last = features.movedim(1, -1)
        return F.layer_norm(last, last.shape[-1:], self.weight, self.bias, 1e-6).movedim(-1, 1)


class Score(nn.Module):
    """How much each pixel of a modality's map is worth, (B, 1, H, W) in 0..1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.point = nn.Conv2d(channels, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.point(self.depthwise(features)).sigmoid()


class PoolingBlock(nn.Module):
    """Mixes a map by pooling at several widths, then its channels."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.norm1 = nn.BatchNorm2d(channels)
        self.spread = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.scale1 = nn.Parameter(torch.full((channels,), 1e-2))
        self.norm2 = nn.BatchNorm2d(channels)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.scale2 = nn.Parameter(torch.full((channels,), 1e-2))
        self.channels = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        normed = self.norm1(features)
        spread = self.spread(normed)
        pooled = spread + sum(
            F.avg_pool2d(spread, k, 1, k // 2, count_include_pad=False) for k in POOLS
        )
        features = features + _column(self.scale1) * normed * (1 + self.mix(pooled).sigmoid())
        means = features.mean((2, 3))[:, None]
        gates = self.channels(means).sigmoid()[:, 0, :, None, None]
        hidden = F.gelu(self.depthwise(self.fc1(self.norm2(features))))
        return gates * features + _column(self.scale2) * self.fc2(hidden)


class Rectify(nn.Module):
    """Two maps take from each other: by channel and by pixel, half of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = 4 * channels
        self.channel = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2 * channels), nn.Sigmoid()
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 2, 1), nn.Sigmoid()
        )

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat((first, second), 1)
        pooled = torch.cat((both.mean((2, 3)), both.amax((2, 3))), 1)
        to_second, to_first = self.channel(pooled)[..., None, None].chunk(2, 1)
        at_second, at_first = self.spatial(both).chunk(2, 1)
        return (
            first + 0.5 * (to_first + at_first) * second,
            second + 0.5 * (to_second + at_second) * first,
        )


class CrossFuse(nn.Module):
    """Two maps to one: each looks through the other's summary of keys and values."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        pair = range(2)
        self.project = nn.ModuleList(nn.Linear(channels, 2 * channels) for _ in pair)
        self.pairs = nn.ModuleList(nn.Linear(channels, 2 * channels, bias=False) for _ in pair)
        self.back = nn.ModuleList(nn.Linear(2 * channels, channels) for _ in pair)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in pair)
        self.residual = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.embed = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        height, width = first.shape[-2:]
        tokens = [m.flatten(2).transpose(1, 2) for m in (first, second)]
        kept, asked = zip(
            *(F.relu(p(t)).chunk(2, 2) for p, t in zip(self.project, tokens, strict=True)),
            strict=True,
        )
        summaries = [self._summary(layer, a) for layer, a in zip(self.pairs, asked, strict=True)]
        answers = [
            self._together(self._heads(a) @ s)
            for a, s in zip(asked, reversed(summaries), strict=True)
        ]
        looked = [
            norm(t + back(torch.cat((k, a), 2)))
            for norm, t, back, k, a in zip(
                self.norms, tokens, self.back, kept, answers, strict=True
            )
        ]
        both = torch.cat(looked, 2).transpose(1, 2).unflatten(2, (height, width))
        return self.norm(self.residual(both) + self.embed(both))

    def _summary(self, layer: nn.Module, asked: Tensor) -> Tensor:
        """Keys and values over all pixels, (B, heads, C / heads, C / heads)."""
        key, value = (self._heads(part) for part in layer(asked).chunk(2, 2))
        return (key.transpose(2, 3) @ value * key.shape[-1] ** -0.5).softmax(2)

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _together(self, split: Tensor) -> Tensor:
        return split.transpose(1, 2).flatten(2)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]
