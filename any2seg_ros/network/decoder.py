"""The all-MLP decoder of SegFormer, and the same function folded for inference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AllMLP(nn.Module):
    """Four maps -> logits (B, K, H/4, W/4): a linear layer a scale, upsampled, fused, classified.

    The published order of operations, which `transformers` and the original code share, so that
    their heads load.
    """

    def __init__(
        self, channels: Sequence[int], classes: int, width: int = 256, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.fuse = nn.Conv2d(width * len(channels), width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the first map."""
        return self.classifier(self.dropout(self.embed(maps)))

    def embed(self, maps: Sequence[Tensor]) -> Tensor:
        """What the classifier sees: (B, width, H/4, W/4).

        The fusing convolution is linear, as is bilinear upsampling: each scale goes through its
        share of it before it is upsampled, which costs a fraction and is the same function.
        """
        shares = self.fuse.weight.chunk(len(maps), dim=1)
        total = None
        for linear, share, features in zip(self.linear, shares, maps, strict=True):
            weight = torch.einsum("oiyx,icyx->ocyx", share, linear.weight)
            bias = share.flatten(1) @ linear.bias
            total = _add(F.conv2d(features, weight, bias), total, maps[0].shape[-2:])
        return F.relu(self.norm(total))

    def folded(self) -> Folded:
        """The same function for inference, with everything before the ReLU multiplied out."""
        return Folded(self)


class Folded(nn.Module):
    """An `AllMLP` in evaluation: one convolution a scale, ReLU, one convolution."""

    def __init__(self, head: AllMLP) -> None:
        super().__init__()
        norm = head.norm
        with torch.no_grad():
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            shift = norm.bias - norm.running_mean * scale
            shares = head.fuse.weight.chunk(len(head.linear), dim=1)
            self.scales = nn.ModuleList()
            for i, (linear, share) in enumerate(zip(head.linear, shares, strict=True)):
                matrix = share.flatten(1) @ linear.weight.flatten(1)
                bias = scale * (share.flatten(1) @ linear.bias) + (shift if i == 0 else 0)
                convolution = nn.Conv2d(matrix.shape[1], matrix.shape[0], 1)
                convolution.weight.copy_((scale[:, None] * matrix)[:, :, None, None])
                convolution.bias.copy_(bias)
                self.scales.append(convolution)
        self.classifier = head.classifier

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits (B, K, H/4, W/4)."""
        total = None
        for convolution, features in zip(self.scales, maps, strict=True):
            total = _add(convolution(features), total, maps[0].shape[-2:])
        return self.classifier(F.relu(total))


def _add(features: Tensor, total: Tensor | None, size: torch.Size) -> Tensor:
    if total is None:
        return features
    upsampled = F.interpolate(features, (size[0], size[1]), mode="bilinear", align_corners=False)
    return total + upsampled
