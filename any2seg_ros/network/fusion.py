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

    `present` bool (S, M) fuses a subset a row: what is not present is left out of mean, sum and
    argmax, as if it were not among the features; its c is 0. S is B in training, where every
    sample has its own subset; the maps of one sample (B = 1) serve any number of subsets.
    """
    if present is None and features.shape[1] == 1:
        return 2 * features[:, 0], torch.ones_like(features[:, :, 0, 0, 0])
    if features.dtype in (torch.float16, torch.bfloat16):  # sums of squares need more
        features = features.float()
    products = _products(features)
    shares = _shares(features, present)
    cosines = _cosines(products.sum((3, 4)), shares)
    if present is not None:
        cosines = cosines * present
    nearness = _nearness(products, cosines)
    if present is not None:
        nearness = nearness.masked_fill(~present[:, :, None, None], -torch.inf)
    return _select(features, nearness) + _weighted(features, shares), cosines


def mean(features: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The baseline's fusion: twice the mean of what is present, and c = 1 for it; see `mff`."""
    ones = torch.ones_like(features[:, :, 0, 0, 0])
    return (
        2 * _weighted(features, _shares(features, present)),
        ones if present is None else ones * present,
    )


def modality_weights(cosines: Sequence[Tensor], present: Tensor | None = None) -> Tensor:
    """c_m (B, M) of each scale -> weights (B, M) that sum to 1; 0 for what is not `present`.

    The c_m are averaged over the scales; a modality that points away from the anchor (negative
    average) gets no weight. Where none points along it, all weigh the same.
    """
    average = torch.stack(tuple(cosines)).mean(0).clamp(min=1e-6)
    if present is not None:
        average = average * present
    return average / average.sum(1, keepdim=True)


def _products(features: Tensor) -> Tensor:
    """f_i . f_j over the channels, (B, M, M, H, W).

    All that MFF asks of the features, mixed in whatever way, is a sum of these: a subset costs
    no further pass over the channels but that of its selection.
    """
    count = features.shape[1]
    rows: list[list[Tensor]] = [[] for _ in range(count)]
    for i in range(count):
        for j in range(count):
            dot = rows[j][i] if j < i else (features[:, i] * features[:, j]).sum(1)
            rows[i].append(dot)
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _shares(features: Tensor, present: Tensor | None) -> Tensor:
    """The weight of each modality in the mean, (B, M) or (S, M)."""
    if present is None:
        return torch.full_like(features[:, :, 0, 0, 0], 1 / features.shape[1])
    return present / present.sum(1, keepdim=True)


def _cosines(products: Tensor, shares: Tensor) -> Tensor:
    """cos(f_m, a) over the whole map, (S, M), of products over the whole map (B, M, M)."""
    dots = (products * shares[:, None]).sum(2)
    anchor = (dots * shares).sum(1, keepdim=True).clamp(min=0)
    return dots / (_own(products) * anchor + SMALL).sqrt()


def _nearness(products: Tensor, cosines: Tensor) -> Tensor:
    """f_m(p) . x(p) / |f_m(p)|, (S, M, H, W), with x = sum_m c_m f_m.

    |x(p)| is the same for every modality, so that the argmax does not need it.
    """
    return _weighted(products, cosines) / (_own(products) + SMALL).sqrt()


def _own(products: Tensor) -> Tensor:
    """The squares among the products: (B, M, M, ...) -> (B, M, ...)."""
    return torch.stack([products[:, m, m] for m in range(products.shape[1])], 1)


def _weighted(features: Tensor, weights: Tensor) -> Tensor:
    """sum_m weights (S, M) features (B, M, C, H, W) -> (S, C, H, W)."""
    total = weights[:, 0, None, None, None] * features[:, 0]
    for m in range(1, features.shape[1]):
        total = total + weights[:, m, None, None, None] * features[:, m]
    return total


def _select(features: Tensor, nearness: Tensor) -> Tensor:
    """The modality of greatest nearness (S, M, H, W) at each pixel: a running maximum."""
    best, chosen = nearness[:, 0], features[:, 0]
    for m in range(1, features.shape[1]):
        nearer = nearness[:, m] > best
        chosen = torch.where(nearer[:, None], features[:, m], chosen)
        best = torch.maximum(best, nearness[:, m])
    return chosen


HUB = "hub"
"""The one word for `fusion` that is no function here: the network `Asymmetric`."""

FUSIONS = {"mff": mff, "mean": mean}
"""The fusions that a configuration can name; docs/network.md says how to add one."""
