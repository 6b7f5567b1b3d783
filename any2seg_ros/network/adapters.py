"""Linear layers before the fusion that know how many modalities there are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from any2seg_ros.modalities import Modality


class Adapters(nn.Module):
    """Four maps (B, M, C, H, W) -> the same, each modality's channels mixed as suits its company.

    What a modality's features should say depends on who else speaks: alone all there is to see,
    beside better ones what those miss. MFF weighs modalities by how much they agree and has no
    parameters to learn that with. So each scale has a matrix (C, C) for each modality and each
    number of modalities that are fused, which is added to the identity and begins as nothing.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        count = len(Modality)
        self.matrices = nn.ParameterList(torch.zeros(count, count, c, c) for c in channels)

    def forward(
        self, maps: Sequence[Tensor], fused: int, modalities: Sequence[Modality]
    ) -> list[Tensor]:
        """Maps of `modalities` of which so many are `fused`."""
        adapted = []
        for features, matrices in zip(maps, self.matrices, strict=True):
            eye = torch.eye(features.shape[2], device=features.device)
            mixed = (eye + matrices[fused - 1, list(modalities)]) @ features.flatten(3)
            adapted.append(mixed.unflatten(3, features.shape[3:]))
        return adapted
