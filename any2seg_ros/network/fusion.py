"""Modality-agnostic feature fusion (MFF, Any2Seg): any number of modalities, no parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SMALL = 1e-12
"""Keeps the cosine of a zero vector defined: it is 0."""


def mff(features: Tensor) -> tuple[Tensor, Tensor]:
    """Fuse maps of M modalities (B, M, C, H, W) to one (B, C, H, W) and tell c (B, M).

    Any2Seg, MFF: anchor a = mean_m f_m; reweighting c_m = cos(f_m, a) over the whole map,
    x = sum_m c_m f_m; selection at each pixel of the f_m whose direction is nearest to x's (the
    first in order where two are equally near); f_ma = selected + a. Negative c_m stay negative in
    x, as published.
    """
    anchor = features.mean(1)
    if features.shape[1] == 1:
        return 2 * anchor, torch.ones_like(features[:, :, 0, 0, 0])
    flat, flat_anchor = features.flatten(2), anchor.flatten(1)
    dots = (flat * flat_anchor[:, None]).sum(2)
    squares = flat.square().sum(2) * flat_anchor.square().sum(1, keepdim=True)
    cosines = dots / (squares + SMALL).sqrt()
    mixed = (cosines[:, :, None, None, None] * features).sum(1)
    # |x(p)| is the same for every modality, so that the argmax does not need it.
    nearness = (features * mixed[:, None]).sum(2) / (features.square().sum(2) + SMALL).sqrt()
    return _select(features, nearness) + anchor, cosines


def mean(features: Tensor) -> tuple[Tensor, Tensor]:
    """The baseline's fusion: twice the mean of (B, M, C, H, W), and ones (B, M)."""
    return 2 * features.mean(1), torch.ones_like(features[:, :, 0, 0, 0])


def modality_weights(cosines: Sequence[Tensor]) -> Tensor:
    """c_m (B, M) of each scale -> weights (B, M) that sum to 1.

    The c_m are averaged over the scales; a modality that points away from the anchor (negative
    average) gets no weight. Where none points along it, all weigh the same.
    """
    average = torch.stack(tuple(cosines)).mean(0).clamp(min=1e-6)
    return average / average.sum(1, keepdim=True)


def _select(features: Tensor, nearness: Tensor) -> Tensor:
    """The modality of greatest nearness (B, M, H, W) at each pixel: a running maximum."""
    best, chosen = nearness[:, 0], features[:, 0]
    for m in range(1, features.shape[1]):
        nearer = nearness[:, m] > best
        chosen = torch.where(nearer[:, None], features[:, m], chosen)
        best = torch.maximum(best, nearness[:, m])
    return chosen


FUSIONS = {"mff": mff, "mean": mean}
