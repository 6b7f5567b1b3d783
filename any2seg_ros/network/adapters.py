"""Linear layers before the fusion that know how many modalities there are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from any2seg_ros.modalities import Modality


class Adapters(nn.Module):
    """Matrices that mix the channels of each modality's maps as suits its company; see `mixed`.

    What a modality's features should say depends on who else speaks: alone all there is to see,
    beside better ones what those miss. MFF weighs modalities by how much they agree and has no
    parameters to learn that with. So each scale has a matrix (C, C) for each modality and each
    number of modalities that are fused, which is added to the identity and begins as nothing.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        count = len(Modality)
        self.matrices = nn.ParameterList(torch.zeros(count, count, c, c) for c in channels)

    def mixing(self, fused: int, modalities: Sequence[Modality]) -> list[Tensor]:
        """A matrix (M, C, C) a scale for the maps of `modalities` of which so many are `fused`."""
        return [
            torch.eye(matrices.shape[-1], device=matrices.device)
            + matrices[fused - 1, list(modalities)]
            for matrices in self.matrices
        ]


def mixed(maps: Sequence[Tensor], mixing: Sequence[Tensor]) -> list[Tensor]:
    """Four maps (B, M, C, H, W), the channels of each mixed by its matrix."""
    return [
        (matrix @ features.flatten(3)).unflatten(3, features.shape[3:])
        for features, matrix in zip(maps, mixing, strict=True)
    ]
