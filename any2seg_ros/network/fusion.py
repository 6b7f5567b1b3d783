"""Modality-agnostic feature fusion (MFF, Any2Seg): any number of modalities, no parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SMALL = 1e-12
"""Keeps the cosine of a zero vector defined: it is 0."""


def mff(features: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Fuse maps of M modalities (B, M, C, H, W) to one (B, C, H, W) and tell c (B, M).

    Any2Seg, MFF: anchor a = mean_m f_m; reweighting c_m = cos(f_m, a) over the whole map,
    x = sum_m c_m f_m; selection at each pixel of the f_m whose direction is nearest to x's (the
    first in order where two are equally near); f_ma = selected + a. Negative c_m stay negative in
    x, as published.

    `present` bool (B, M) is for training, where every sample has its own subset: what is not
    present is left out of mean, sum and argmax, as if it were not among the features; its c is 0.
    """
    if present is None and features.shape[1] == 1:
        return 2 * features[:, 0], torch.ones_like(features[:, :, 0, 0, 0])
    if features.dtype in (torch.float16, torch.bfloat16):  # sums of squares need more
        features = features.float()
    anchor = _mean(features, present)
    flat, flat_anchor = features.flatten(2), anchor.flatten(1)
    dots = (flat * flat_anchor[:, None]).sum(2)
    squares = flat.square().sum(2) * flat_anchor.square().sum(1, keepdim=True)
    cosines = dots / (squares + SMALL).sqrt()
    if present is not None:
        cosines = cosines * present
    mixed = (cosines[:, :, None, None, None] * features).sum(1)
    # |x(p)| is the same for every modality, so that the argmax does not need it.
    nearness = (features * mixed[:, None]).sum(2) / (features.square().sum(2) + SMALL).sqrt()
    if present is not None:
        nearness = nearness.masked_fill(~present[:, :, None, None], -torch.inf)
    return _select(features, nearness) + anchor, cosines


def mean(features: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The baseline's fusion: twice the mean of (B, M, C, H, W), and c = 1 for all present."""
    ones = torch.ones_like(features[:, :, 0, 0, 0])
    return 2 * _mean(features, present), ones if present is None else ones * present


def modality_weights(cosines: Sequence[Tensor]) -> Tensor:
    """c_m (B, M) of each scale -> weights (B, M) that sum to 1.

    The c_m are averaged over the scales; a modality that points away from the anchor (negative
    average) gets no weight. Where none points along it, all weigh the same.
    """
    average = torch.stack(tuple(cosines)).mean(0).clamp(min=1e-6)
    return average / average.sum(1, keepdim=True)


def _mean(features: Tensor, present: Tensor | None) -> Tensor:
    if present is None:
        return features.mean(1)
    shares = present / present.sum(1, keepdim=True)
    return (features * shares[:, :, None, None, None]).sum(1)


def _select(features: Tensor, nearness: Tensor) -> Tensor:
    """The modality of greatest nearness (B, M, H, W) at each pixel: a running maximum."""
    best, chosen = nearness[:, 0], features[:, 0]
    for m in range(1, features.shape[1]):
        nearer = nearness[:, m] > best
        chosen = torch.where(nearer[:, None], features[:, m], chosen)
        best = torch.maximum(best, nearness[:, m])
    return chosen


FUSIONS = {"mff": mff, "mean": mean}
