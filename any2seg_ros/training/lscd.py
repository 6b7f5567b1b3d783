"""LSCD: language-guided semantic correlation distillation (Any2Seg, Eqs. 1, 2 and 5).

What the paper does not publish is decided here: softmax with a temperature and KL divergence for
L_cr; smooth L1 on the off-diagonal for L_se, over the categories present in the label. Which of the
four scales is pooled is configuration, as are the temperature and the prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine(a: Tensor, b: Tensor, dim: int = -1) -> Tensor:
    """Cosine of the angle between vectors along `dim`; 0 where one of them is 0."""
    norms = (a.square().sum(dim) * b.square().sum(dim) + 1e-12).sqrt()
    return (a * b).sum(dim) / norms


def inter_modal(
    maps: Tensor, fused: Tensor, teacher: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """L_cr: how near each modality is to the scene, as sum and count over the samples.

    maps (B, M, C, H, W) and fused (B, C, H, W) give the student's correlation cos(f_m, f_ma)
    (Eq. 1); teacher (B, M) is cos(E_m, E_s), -inf for modalities that a sample does not have.
    """
    student = cosine(maps.flatten(2), fused.flatten(1)[:, None])
    absent = torch.isinf(teacher)
    target = F.softmax(teacher / temperature, 1)
    guess = F.log_softmax(student.masked_fill(absent, -torch.inf) / temperature, 1)
    terms = target * (target.clamp(min=1e-12).log() - guess.masked_fill(absent, 0))
    return terms.masked_fill(absent, 0).sum(), terms.new_tensor(float(len(terms)))


def intra_modal(fused: Tensor, labels: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """L_se: the categories' correlations, as sum and count over their pairs (Eq. 5).

    fused (B, C, H, W) is pooled under the label (B, h, w) of all samples together; teacher (K, K)
    holds the cosines of the category names' embeddings.
    """
    vectors, present = masked_average_pooling(fused, labels, len(teacher))
    vectors, target = vectors[present], teacher[present][:, present]
    count = len(vectors)
    pairs = count * (count - 1)
    if pairs == 0:
        return fused.sum() * 0, fused.new_tensor(0.0)
    student = cosine(vectors[:, None], vectors[None])
    losses = F.smooth_l1_loss(student, target, reduction="none")
    return losses.sum() - losses.diagonal().sum(), fused.new_tensor(float(pairs))


def masked_average_pooling(fused: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean vector of each category (K, C), and which categories occur, bool (K,)."""
    size = fused.shape[-2:]
    small = F.interpolate(labels[:, None].float(), size, mode="nearest")[:, 0].long()
    flat = fused.permute(0, 2, 3, 1).reshape(-1, fused.shape[1])
    ids = small.flatten()
    valid = ids < classes  # neither nothing nor several classes
    sums = flat.new_zeros(classes, flat.shape[1]).index_add(0, ids[valid], flat[valid])
    counts = torch.bincount(ids[valid], minlength=classes)
    return sums / counts.clamp(min=1)[:, None], counts > 0
