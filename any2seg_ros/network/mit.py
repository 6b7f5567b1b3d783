"""Mix Transformer encoders B0 to B5 (SegFormer, Xie et al., NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class MiTConfig:
    """Size of a Mix Transformer; one number per stage."""

    channels: tuple[int, ...] = (64, 128, 320, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (1, 2, 5, 8)
    reductions: tuple[int, ...] = (8, 4, 2, 1)
    expansion: int = 4
    drop_path: float = 0.1
    norm_eps: float = 1e-5
    """Added to the variance in the norms of the blocks and at the end of a stage."""


MIT_CONFIGS = {
    "mit_b0": MiTConfig(channels=(32, 64, 160, 256)),
    "mit_b1": MiTConfig(),
    "mit_b2": MiTConfig(depths=(3, 4, 6, 3)),
    "mit_b3": MiTConfig(depths=(3, 4, 18, 3)),
    "mit_b4": MiTConfig(depths=(3, 8, 27, 3)),
    "mit_b5": MiTConfig(depths=(3, 6, 40, 3)),
}


class MiT(nn.Module):
    """(N, 3, H, W) -> features (N, C, H/s, W/s) at strides s = 4, 8, 16, 32.

    The same function as `transformers.SegformerModel` with the same weights.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, config: MiTConfig = MIT_CONFIGS["mit_b0"]) -> None:
        super().__init__()
        self.channels = config.channels
        rates = iter(torch.linspace(0, config.drop_path, sum(config.depths), device="cpu").tolist())
        inputs = (3, *config.channels[:-1])
        self.stages = nn.ModuleList(
            Stage(
                inputs[i],
                config.channels[i],
                7 if i == 0 else 3,
                4 if i == 0 else 2,
                config.heads[i],
                config.reductions[i],
                config.expansion,
                [next(rates) for _ in range(config.depths[i])],
            )
            for i in range(4)
        )
        self.apply(_initialise)
        for stage in self.stages:
            assert isinstance(stage, Stage)
            for norm in stage.norms():
                norm.eps = config.norm_eps

    def forward(self, images: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            images = stage(images)
            features.append(images)
        return features


class Stage(nn.Module):
    """Overlapping patches, transformer blocks and a norm."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        patch: int,
        stride: int,
        heads: int,
        reduction: int,
        expansion: int,
        drop_paths: list[float],
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, channels, patch, stride, patch // 2)
        self.embed_norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(
            Block(channels, heads, reduction, expansion, rate) for rate in drop_paths
        )
        self.norm = nn.LayerNorm(channels)

    def norms(self) -> list[nn.LayerNorm]:
        """Those whose eps the implementations differ in: of the blocks, and the last one."""
        blocks = (cast(Block, block) for block in self.blocks)
        return [*(norm for block in blocks for norm in (block.norm1, block.norm2)), self.norm]

    def forward(self, image: Tensor) -> Tensor:
        patches = self.embed(image)
        height, width = patches.shape[-2:]
        tokens = self.embed_norm(patches.flatten(2).transpose(1, 2))
        for block in self.blocks:
            tokens = block(tokens, height, width)
        return _to_map(self.norm(tokens), height, width)


class Block(nn.Module):
    """Efficient self-attention and Mix-FFN, each with its norm and residual."""

    def __init__(
        self, channels: int, heads: int, reduction: int, expansion: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = EfficientAttention(channels, heads, reduction)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MixFFN(channels, channels * expansion)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        tokens = tokens + self._dropped(self.attention(self.norm1(tokens), height, width))
        return tokens + self._dropped(self.mlp(self.norm2(tokens), height, width))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        mask = torch.rand(len(branch), 1, 1, dtype=branch.dtype, device=branch.device) < keep
        return branch * mask / keep


class EfficientAttention(nn.Module):
    """Attention whose keys and values are shortened by a strided convolution."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.reduce = self.reduce_norm = None
        if reduction > 1:
            self.reduce = nn.Conv2d(channels, channels, reduction, reduction)
            self.reduce_norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        n, length, channels = tokens.shape
        size = channels // self.heads
        source = tokens
        if self.reduce is not None and self.reduce_norm is not None:
            reduced = self.reduce(_to_map(tokens, height, width))
            source = self.reduce_norm(reduced.flatten(2).transpose(1, 2))
        query = self.q(tokens).view(n, length, self.heads, size).transpose(1, 2)
        pair = self.kv(source).view(n, source.shape[1], 2, self.heads, size)
        key, value = pair.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, channels))


class MixFFN(nn.Module):
    """Two linear layers with a depthwise 3 x 3 convolution between them, which gives positions."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        hidden = self.depthwise(_to_map(self.fc1(tokens), height, width))
        return self.fc2(F.gelu(hidden.flatten(2).transpose(1, 2)))


def _to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    n, _, channels = tokens.shape
    return tokens.transpose(1, 2).reshape(n, channels, height, width)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, std=(2 * module.groups / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
