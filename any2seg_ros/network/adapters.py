"""Linear layers before the fusion, one for each modality and number of modalities fused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from any2seg_ros.network.modality_groups import GROUPS
from any2seg_ros.types import Modality


class Adapters(nn.Module):
    """Matrices that mix the channels of each modality's maps, by group of subsets; see `mixed`.

    What a modality should contribute depends on the others: everything when it is alone, what they
    miss when it is not. MFF weighs modalities by their agreement and has no parameters to learn
    this with. Each scale therefore has a matrix (C, C) for each group and modality, added to the
    identity and initialized to zero.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        count = len(Modality)
        self.matrices = nn.ParameterList(torch.zeros(GROUPS, count, c, c) for c in channels)

    def alike(self) -> bool:
        """Whether all groups have the same matrices, as before training."""
        return all(torch.equal(m, m[:1].expand_as(m)) for m in self.matrices)

    @torch.no_grad()
    def follow(self, leader: int, groups: Iterable[int]) -> None:
        """Copy the matrices of the group `leader` to `groups`."""
        for group in groups:
            for matrices in self.matrices:
                matrices[group] = matrices[leader]

    def of(self, modalities: Sequence[Modality]) -> list[Tensor]:
        """A copy of the matrices (groups, M, C, C) of these modalities, for each scale."""
        return [matrices.detach()[:, list(modalities)].clone() for matrices in self.matrices]

    @torch.no_grad()
    def put_back(self, modalities: Sequence[Modality], kept: Sequence[Tensor]) -> None:
        """Undo what became of these modalities' matrices since `of` copied them."""
        for matrices, before in zip(self.matrices, kept, strict=True):
            matrices[:, list(modalities)] = before

    def mixing(self, group: int, modalities: Sequence[Modality] = tuple(Modality)) -> list[Tensor]:
        """Matrices (M, C, C) for each scale, for the maps of `modalities` in a group."""
        everyone = tuple(modalities) == tuple(Modality)
        return [
            torch.eye(matrices.shape[-1], device=matrices.device)
            + (matrices[group] if everyone else matrices[group, list(modalities)])
            for matrices in self.matrices
        ]


def mixed(maps: Sequence[Tensor], mixing: Sequence[Tensor]) -> list[Tensor]:
    """Four maps (B, M, C, H, W), the channels of each mixed by its matrix."""
    results = []
    for features, matrices in zip(maps, mixing, strict=True):
        kernels = matrices.flatten(0, 1)[..., None, None]
        flat = F.conv2d(features.flatten(1, 2), kernels, groups=len(matrices))
        results.append(flat.unflatten(1, features.shape[1:3]))
    return results
