"""The all-MLP decoder of SegFormer, and the same function folded for inference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AllMLP(nn.Module):
    """Features -> logits (B, K, H/4, W/4): a linear layer per scale, upsampled, fused, classified.

    The published function, so that heads of `transformers` and the original code load. `refine`
    adds as many residual blocks before the classifier: the first scale of a convolutional encoder
    has seen little of the image, other than MiT's, and what is beside a pixel helps.
    """

    def __init__(
        self,
        channels: Sequence[int],
        classes: int,
        width: int = 256,
        dropout: float = 0.1,
        refine: int = 0,
    ) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.fuse = nn.Conv2d(width * len(channels), width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.refine = nn.Sequential(*(Refine(width) for _ in range(refine)))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the first scale."""
        return self.classifier(self.dropout(self.embed(features)))

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """The input of the classifier: (B, width, H/4, W/4).

        The fusing convolution is linear, as is bilinear upsampling: each scale goes through its
        share of it before it is upsampled, which costs a fraction and is the same function.
        """
        terms = [
            F.conv2d(scale, matrix[:, :, None, None], bias)
            for scale, (matrix, bias) in zip(features, self.products(), strict=True)
        ]
        return self.refine(F.relu(self.norm(_sum(terms))))

    def products(self) -> list[tuple[Tensor, Tensor]]:
        """Matrix (width, C) and bias (width,) of each scale: its linear layer, then its share."""
        shares = self.fuse.weight.flatten(1).chunk(len(self.linear), dim=1)
        products = []
        for linear, share in zip(self.linear, shares, strict=True):
            assert isinstance(linear, nn.Conv2d) and linear.bias is not None
            products.append((share @ linear.weight.flatten(1), share @ linear.bias))
        return products

    def folded(self) -> Folded:
        """The same function for inference, with everything before the ReLU multiplied out."""
        return Folded(self)


class Refine(nn.Module):
    """A residual block: depthwise 3 x 3 and 1 x 1 convolution; initially the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.depthwise(features)))
        return F.relu(features + self.norm2(self.mix(hidden)))


class Folded(nn.Module):
    """An `AllMLP` in evaluation: one convolution per scale, ReLU, one convolution."""

    def __init__(self, head: AllMLP) -> None:
        super().__init__()
        norm = head.norm
        assert norm.running_mean is not None and norm.running_var is not None
        self.scales = nn.ModuleList()
        with torch.no_grad():
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            shift = norm.bias - norm.running_mean * scale
            for i, (matrix, bias) in enumerate(head.products()):
                convolution = nn.Conv2d(matrix.shape[1], matrix.shape[0], 1)
                convolution.weight = nn.Parameter((scale[:, None] * matrix)[:, :, None, None])
                convolution.bias = nn.Parameter(scale * bias + (shift if i == 0 else 0))
                self.scales.append(convolution)
        self.refine = head.refine
        self.classifier = head.classifier

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (B, K, H/4, W/4)."""
        terms = [convolution(f) for convolution, f in zip(self.scales, features, strict=True)]
        return self.classifier(self.refine(F.relu(_sum(terms))))


def _sum(terms: Sequence[Tensor]) -> Tensor:
    """The sum of tensors, upsampled to the size of the first."""
    total = terms[0]
    size = [int(length) for length in total.shape[-2:]]
    for term in terms[1:]:
        total = total + F.interpolate(term, size, mode="bilinear", align_corners=False)
    return total
