"""The asymmetric baseline: RGB leads, the others go through a hub, as in CMNeXt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from any2seg_ros.network.any2seg import Any2Seg, Encoder, NetworkConfig
from any2seg_ros.network.efficientnet import TAPS
from any2seg_ros.network.fusion import HUB
from any2seg_ros.network.hub import Hub, HubConfig
from any2seg_ros.network.mit import MiT
from any2seg_ros.types import Modality


class Asymmetric(Any2Seg):
    """An `Any2Seg` by its interface and a `WholeNetwork` by what it does.

    One encoder, for RGB, whose stages see what the hub has rectified; its weights load as any
    other's. Another modality that is absent is left out of the hub. RGB cannot be left out: where
    it is absent, and where no other is present, an image of zeros stands in.
    """

    modalities = tuple(Modality)
    leaves_out = True

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.backbone = config.encoder
        self.hub = Hub(HubConfig(tuple(self.encoders[0].channels), others=len(Modality) - 1))

    def encode(self, images: Tensor, present: Tensor | None = None) -> list[Tensor]:
        """Nothing is encoded before it is known who is present: the images themselves."""
        return [images if present is None else _only(images, present)]

    def fuse(
        self,
        maps: Sequence[Tensor],
        present: Tensor | None = None,
        modalities: Sequence[Modality] = tuple(Modality),
    ) -> tuple[list[Tensor], Tensor]:
        """Images (B, M, 3, H, W) of all modalities -> four fused maps (B, C, h, w), weights.

        Weights (B, M) are the same for all that are present: the hub has none.
        """
        images = maps[0]
        if present is None:
            present = torch.ones(images.shape[:2], dtype=torch.bool)
        present = present.to(images.device)
        lead, *others = _only(images, present).unbind(1)
        fused = []
        for part, scale in zip(parts(self.encoders[0]), self.hub.scales, strict=True):
            lead, one, others = scale(part(lead), others, present[:, 1:])
            fused.append(one)
        return fused, present / present.sum(1, keepdim=True)

    def adapted(self, maps: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """ValueError: there are no maps of single modalities."""
        raise ValueError("fusion hub has no maps of single modalities: leave inter_modal at 0")

    def whole(self, images: Tensor, present: Tensor) -> Tensor:
        """See `WholeNetwork`."""
        return self.segment([images], present)[0]


def parts(encoder: Encoder) -> list[nn.Module]:
    """The encoder in four, each from the map before, or the image, to the next map."""
    if isinstance(encoder, MiT):
        return list(encoder.stages)
    begins = (0, *(tap + 1 for tap in TAPS[:-1]))
    stages = [list(encoder.stages[b : tap + 1]) for b, tap in zip(begins, TAPS, strict=True)]
    return [
        nn.Sequential(*([encoder.stem] if i == 0 else []), *part) for i, part in enumerate(stages)
    ]


def make_network(config: NetworkConfig) -> Any2Seg:
    """The network of a configuration, with random weights."""
    return Asymmetric(config) if config.fusion == HUB else Any2Seg(config)


def _only(images: Tensor, present: Tensor) -> Tensor:
    return images * present.to(images.device)[:, :, None, None, None]
