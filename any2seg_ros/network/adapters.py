"""Linear layers before the fusion that know in what company a modality speaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from any2seg_ros.network import modality_groups
from any2seg_ros.types import Modality

COMPANIES = modality_groups.GROUPS
ALONE, SOME, ALL = range(COMPANIES)
company, by_company = modality_groups.group, modality_groups.by_group


class Adapters(nn.Module):
    """Matrices that mix the channels of each modality's maps as suits its company; see `mixed`.

    What a modality's features should say depends on who else speaks: alone all there is to see,
    beside better ones what those miss. MFF weighs modalities by how much they agree and has no
    parameters to learn that with. So each scale has a matrix (C, C) for each modality and each
    `company`, which is added to the identity and begins as nothing.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        count = len(Modality)
        self.matrices = nn.ParameterList(torch.zeros(COMPANIES, count, c, c) for c in channels)

    def alike(self) -> bool:
        """Whether all companies have the same matrices, as before any was trained on its own."""
        return all(torch.equal(m, m[:1].expand_as(m)) for m in self.matrices)

    @torch.no_grad()
    def follow(self, leader: int, companies: Iterable[int]) -> None:
        """Let these companies have the matrices of `leader`."""
        for among in companies:
            for matrices in self.matrices:
                matrices[among] = matrices[leader]

    def mixing(self, among: int, modalities: Sequence[Modality] = tuple(Modality)) -> list[Tensor]:
        """A matrix (M, C, C) a scale for the maps of `modalities` in this company."""
        everyone = tuple(modalities) == tuple(Modality)
        return [
            torch.eye(matrices.shape[-1], device=matrices.device)
            + (matrices[among] if everyone else matrices[among, list(modalities)])
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
