"""Losses as (sum, count) pairs, so that processes can add them up to the loss of one process; of
`jaccard` each takes the regions of its own samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from any2seg_ros.types import IGNORE

Pair = tuple[Tensor, Tensor]
"""A loss as sum and count."""


def class_weights(labels: np.ndarray, members: np.ndarray, power: float, limit: float) -> Tensor:
    """Weights (G,) of the cross-entropy by label: frequency to the -power, within a factor `limit`
    of 1.

    The mean weight of a labelled pixel is 1. labels: uint8 of any shape. members bool (G, K): the
    classes that a label stands for: it is as frequent as they are together, a pixel of several
    classes being a part of each. A class that never occurs weighs as much as the rarest allowed.
    """
    seen = np.bincount(labels.reshape(-1), minlength=256)[: len(members)].astype(np.float64)
    seen[~members.any(1)] = 0
    counts = (seen[:, None] * members / np.maximum(members.sum(1, keepdims=True), 1)).sum(0)
    common = np.median(counts[counts > 0]) if counts.any() else 1.0
    counts = np.maximum(members @ counts, 1e-9 * max(seen.sum(), 1.0))
    weights = (counts / common) ** -power if seen.any() else counts * 0 + 1
    shares = seen / max(seen.sum(), 1.0)
    weights = np.clip(weights, 1 / limit, limit)
    weights /= (weights * shares).sum() if seen.any() else 1.0
    return torch.tensor(weights, dtype=torch.float32)


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    keep: float = 1.0,
    members: Tensor | None = None,
    trust: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum and weight of the cross-entropy of logits (B, K, H, W) against labels (B, H, W).

    members bool (256, K): the classes that a label stands for, which share its probability; without
    it labels are classes. weights: by label. trust (B, H, W), 0..1: how much each pixel counts.
    `keep` below 1 is online hard example mining: of each sample, the pixels whose true class has
    a probability below 0.7, but at least this share of the hardest.
    """
    labels = labels.long()
    plain = surprise(logits, labels, members)
    shares = (labels != IGNORE).float()
    if weights is not None:
        shares = weights[labels.clamp(max=len(weights) - 1)] * shares
    if trust is not None:
        shares = shares * trust
    losses = plain * shares
    if keep < 1:
        kept = hard_pixels(plain.detach(), keep)
        losses, shares = losses * kept, shares * kept
    return losses.sum(), shares.sum()


def jaccard(
    logits: Tensor,
    labels: Tensor,
    members: Tensor | None = None,
    trust: Tensor | None = None,
) -> Pair:
    """Lovasz-softmax (Berman et al., CVPR 2018) of logits (B, K, H, W) against labels (B, H, W):
    1 - IoU where probabilities are 0 or 1, and convex between. Its sum over the labels that occur
    in the batch, and their number.

    members and trust as in `cross_entropy`: a pixel counts as much as it is trusted. Pixels whose
    own label may mean what another label means, such as a car beside "any vehicle", do not count
    for that one.
    """
    valid = labels != IGNORE
    values = labels[valid].long()
    shares = logits.new_ones(len(values)) if trust is None else trust[valid].float()
    classes = logits.shape[1]
    probabilities = logits.float().softmax(1).movedim(1, -1)[valid].T
    meant = torch.eye(classes, dtype=torch.bool, device=logits.device)
    meant = meant if members is None else members
    there = values[shares > 0].unique()
    if not len(there):
        return logits.sum() * 0, logits.new_zeros(())
    own = meant[there]
    right = there[:, None] == values
    other = (own.float() @ meant[values].float().T > 0) & ~right
    errors = (right.float() - own.float() @ probabilities).abs()
    counted = shares * ~other
    order = errors.detach().sort(1, descending=True).indices
    slopes = _jaccard_slopes(right.gather(1, order), counted.gather(1, order))
    losses = (errors.gather(1, order) * slopes).sum(1)
    return losses.sum(), losses.new_full((), len(losses))


def _jaccard_slopes(right: Tensor, shares: Tensor) -> Tensor:
    """How much each pixel, the worst first, adds to 1 - IoU once it and all before it are wrong:
    (V, P) of which pixels have the label, bool (V, P), and how much they count, (V, P)."""
    whole = (right * shares).sum(1, keepdim=True)
    missed = (right * shares).cumsum(1)
    taken = (~right * shares).cumsum(1)
    lost = 1 - (whole - missed) / (whole + taken).clamp(min=1e-6)
    return lost.diff(dim=1, prepend=lost.new_zeros(len(lost), 1))


def surprise(logits: Tensor, labels: Tensor, members: Tensor | None = None) -> Tensor:
    """-log of the probability of what each label stands for, (B, H, W); 0 where it is 255."""
    if members is None:
        return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    logits = logits.float()
    meant = members[labels].movedim(-1, 1)
    inside = logits.masked_fill(~meant, -1e4).logsumexp(1)
    return (logits.logsumexp(1) - inside) * (labels != IGNORE)


def hard_pixels(plain: Tensor, keep: float) -> Tensor:
    """bool (B, H, W): the pixels that OHEM (threshold 0.7, at least a share `keep`) trains on, by
    their unweighted losses."""
    count = max(1, int(keep * plain[0].numel()))
    easiest_kept = plain.flatten(1).topk(count).values[:, -1]
    threshold = easiest_kept.clamp(max=-float(np.log(0.7)))
    return plain >= threshold[:, None, None]


def unimodal(student: Sequence[Tensor], teacher: Sequence[Tensor], subset: Tensor) -> Pair:
    """Sum and count of KL(teacher || student) over the modalities of `subset`, bool (B, M).

    Of the softmax over the channels of each modality's own maps (B, M, C, H, W), the mean over
    pixels and scales. AnySeg's idea; the code released with RobustSeg has it over the rows instead.
    """
    total = subset.new_zeros((), dtype=torch.float32, device=student[0].device)
    mask = subset.to(student[0].device)
    for mine, theirs in zip(student, teacher, strict=True):
        guess, target = F.log_softmax(mine, 2), F.log_softmax(theirs.detach(), 2)
        divergence = F.kl_div(guess, target, reduction="none", log_target=True).sum(2)
        total = total + (divergence.mean((2, 3)) * mask).sum() / len(student)
    return total, mask.sum().to(total.dtype)


def cross_modal(student: Sequence[Tensor], teacher: Sequence[Tensor], subset: Tensor) -> Pair:
    """Sum and count of how far the cosines between two modalities' maps are from the teacher's.

    Squares, over the pairs of `subset`, bool (B, M), of maps (B, M, C, H, W), mean over scales.
    """
    mask = subset.to(student[0].device)
    pairs = mask[:, :, None] & mask[:, None]
    pairs = pairs & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    total = student[0].new_zeros(())
    for mine, theirs in zip(student, teacher, strict=True):
        squares = (_cosines(mine) - _cosines(theirs.detach())).square()
        total = total + (squares * pairs).sum() / len(student)
    return total, pairs.sum().to(total.dtype)


def _cosines(maps: Tensor) -> Tensor:
    """(B, M, M) of maps (B, M, C, H, W), each taken as one vector."""
    unit = F.normalize(maps.flatten(2).float(), dim=2)
    return unit @ unit.transpose(1, 2)


def distillation(
    student: Tensor, teacher: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Sum and count of KL(teacher || student) over the pixels of logits (B, K, H, W).

    No gradient flows to the teacher.
    """
    target = F.log_softmax(teacher.detach() / temperature, 1)
    guess = F.log_softmax(student / temperature, 1)
    divergence = F.kl_div(guess, target, reduction="none", log_target=True).sum(1)
    return divergence.sum() * temperature**2, divergence.new_full((), divergence.numel())
