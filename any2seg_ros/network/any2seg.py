"""Any2Seg: an encoder for all modalities or one for each, MFF at each of its scales, a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from any2seg_ros.configuration import check, setting
from any2seg_ros.network.adapters import Adapters, mixed
from any2seg_ros.network.decoder import AllMLP, Folded
from any2seg_ros.network.efficientnet import LITE_FACTORS, EfficientNetLite
from any2seg_ros.network.fusion import FUSIONS, HUB, modality_weights
from any2seg_ros.network.mit import MIT_CONFIGS, MiT
from any2seg_ros.network.modality_groups import by_group, group_of
from any2seg_ros.types import Modality

ENCODERS = (*MIT_CONFIGS, *LITE_FACTORS)

Encoder = MiT | EfficientNetLite


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of an Any2Seg."""

    encoder: str = setting("efficientnet_lite0", "encoder of the images", choices=ENCODERS)
    classes: int = setting(25, "number of classes; the data's if left out", low=1, high=255)
    width: int = setting(128, "channels of the decoder", low=1, high=4096)
    fusion: str = setting("mff", "mff; for baselines mean, or hub (asymmetric)")
    dropout: float = setting(0.1, "dropout before the classifier", low=0, high=1)
    refine: int = setting(
        0, "residual blocks in the decoder; 0 is the published decoder", low=0, high=64
    )
    shared_encoder: bool = setting(
        True,
        "one encoder for all modalities, as in the authors' code; false: one for each, as in the "
        "paper's figure",
    )
    adapters: bool = setting(
        False,
        "a linear layer for each modality before the fusion, for each group by number of "
        "modalities: one, several, all",
    )
    norm_eps: float = setting(1e-5, "eps of MiT's norms; published networks differ in it", low=0)

    def __post_init__(self) -> None:
        check(self)
        if self.fusion == HUB and (self.adapters or not self.shared_encoder):
            raise ValueError("fusion hub has one encoder, RGB's, and no adapters")
        if self.fusion not in (*FUSIONS, HUB):
            known = ", ".join((*FUSIONS, HUB))
            raise ValueError(
                f"unknown fusion '{self.fusion}': use one of {known}, or add yours to "
                "FUSIONS in any2seg_ros/network/fusion.py (docs/network.md)"
            )


class Any2Seg(nn.Module):
    """Modality images -> logits, with any number of modalities.

    Absent modalities are not computed: their images are simply not among the inputs. The function
    does not depend on the order of the modalities, except for exact ties in MFF's selection.
    """

    def __init__(self, config: NetworkConfig = NetworkConfig()) -> None:
        super().__init__()
        self.config = config
        count = 1 if config.shared_encoder else len(Modality)
        made = [make_encoder(config.encoder, config.norm_eps) for _ in range(count)]
        self.encoder: Encoder | nn.ModuleList = (
            made[0] if config.shared_encoder else nn.ModuleList(made)
        )
        self.adapters = Adapters(made[0].channels) if config.adapters else None
        self.encode_nothing = False
        """Run the encoders on empty batches, too: other processes wait for them (training only)."""
        self.decoder: AllMLP | Folded = AllMLP(
            made[0].channels, config.classes, config.width, config.dropout, config.refine
        )

    @property
    def encoders(self) -> list[Encoder]:
        """The one for all modalities, or each modality's own, in vocabulary order."""
        if isinstance(self.encoder, nn.ModuleList):
            return [cast(Encoder, encoder) for encoder in self.encoder]
        return [self.encoder]

    def encoder_of(self, modality: Modality) -> Encoder:
        """The encoder of a modality's images (N, 3, H, W)."""
        return self.encoders[0 if self.config.shared_encoder else modality]

    def forward(
        self, images: Tensor, modalities: Sequence[Modality] = tuple(Modality)
    ) -> tuple[Tensor, Tensor]:
        """One frame: images (M, 3, H, W) of `modalities` -> logits (K, H/4, W/4), weights (M,)."""
        features = [f[None] for f in self.features(images, modalities)]
        logits, weights = self.segment(features, modalities=modalities)
        return logits[0], weights[0]

    def features(self, images: Tensor, modalities: Sequence[Modality]) -> list[Tensor]:
        """images (M, 3, H, W) of `modalities` -> features (M, C, H/s, W/s) at four scales."""
        if self.config.shared_encoder:
            return self.encoders[0](images)
        each = [self.encoder_of(m)(images[i : i + 1]) for i, m in enumerate(modalities)]
        return [torch.cat(scale) for scale in zip(*each, strict=True)]

    def encode(self, images: Tensor, present: Tensor | None = None) -> list[Tensor]:
        """images (B, M, 3, H, W) -> features (B, M, C, H/s, W/s); one pass per encoder.

        M is all modalities in vocabulary order where each has its own encoder. Images that are not
        `present`, bool (B, M), are not computed: their features are zero. On the CPU it is known at
        once: a GPU is not waited for.
        """
        encoders = self.encoders
        shares = images.chunk(len(encoders), 1)
        if present is None:
            present = torch.ones(images.shape[:2], dtype=torch.bool)
        known = present.chunk(len(encoders), 1)
        parts = [self._encode_with(*part) for part in zip(encoders, shares, known, strict=True)]
        return [torch.cat(scale, 1) for scale in zip(*parts, strict=True)]

    def _encode_with(self, encoder: Encoder, images: Tensor, present: Tensor) -> list[Tensor]:
        """images (B, M, 3, H, W) -> features (B, M, C, H/s, W/s), zero where not `present`."""
        shape = images.shape[:2]
        if bool(present.all()):
            return [scale.unflatten(0, shape) for scale in encoder(images.flatten(0, 1))]
        height, width = images.shape[-2:]
        features = [
            images.new_zeros(*shape, channels, -(-height // stride), -(-width // stride))
            for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
        ]
        if not (self.encode_nothing or bool(present.any())):
            return features
        where = present.to(images.device)[:, :, None, None, None]
        return [
            zeros.to(scale.dtype).masked_scatter(where, scale)
            for zeros, scale in zip(features, encoder(images[present]), strict=True)
        ]

    def fuse(
        self,
        features: Sequence[Tensor],
        present: Tensor | None = None,
        modalities: Sequence[Modality] = tuple(Modality),
    ) -> tuple[list[Tensor], Tensor]:
        """Features (B, M, C, H, W) at four scales -> fused (B, C, H, W), weights (B, M).

        `present` bool (S, M), best on the CPU, gives every sample its own subset, or one sample
        (B = 1) many: S are fused then. `modalities` names those of the M.
        """
        if self.adapters is None:
            return self._fuse(features, present)
        if present is None:
            mixing = self.adapters.mixing(group_of(features[0].shape[1]), modalities)
            return self._fuse(mixed(features, mixing), None)
        order: list[int] = []
        parts = []
        for group, rows in by_group(present.sum(1).tolist()).items():
            own = features if len(features[0]) == 1 else _rows(features, rows)
            mixing = self.adapters.mixing(group, modalities)
            fused, weights = self._fuse(mixed(own, mixing), present[rows])
            parts.append((*fused, weights))
            order += rows
        *whole, weights = _in_order(parts, order)
        return whole, weights

    def adapted(self, features: Sequence[Tensor], present: Tensor) -> list[Tensor]:
        """Features (B, M, C, H, W) of all modalities as adapted for the subsets `present`."""
        if self.adapters is None:
            return list(features)
        order: list[int] = []
        parts = []
        for group, rows in by_group(present.sum(1).tolist()).items():
            parts.append(mixed(_rows(features, rows), self.adapters.mixing(group)))
            order += rows
        return _in_order(parts, order)

    def _fuse(
        self, features: Sequence[Tensor], present: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        fusion = FUSIONS[self.config.fusion]
        if present is not None:
            present = present.to(features[0].device, non_blocking=True)
        fused, cosines = zip(*(fusion(f, present) for f in features), strict=True)
        return list(fused), modality_weights(cosines, present)

    def segment(
        self,
        features: Sequence[Tensor],
        present: Tensor | None = None,
        modalities: Sequence[Modality] = tuple(Modality),
    ) -> tuple[Tensor, Tensor]:
        """Features (B, M, C, H, W) -> logits (B, K, H/4, W/4), weights (B, M); see `fuse`."""
        fused, weights = self.fuse(features, present, modalities)
        return self.decoder(fused), weights

    def segment_alike(
        self,
        features: Sequence[Tensor],
        present: Tensor | None = None,
        mixing: Sequence[Tensor] = (),
    ) -> tuple[Tensor, Tensor]:
        """`segment` of subsets of one group, with its adapters' matrices if there are any."""
        fused, weights = self._fuse(mixed(features, mixing) if mixing else features, present)
        return self.decoder(fused), weights

    def folded(self) -> Any2Seg:
        """The same network for inference: in evaluation mode, with a folded decoder."""
        network = type(self)(self.config)
        network.load_state_dict(self.state_dict())
        network.eval()
        if isinstance(network.decoder, AllMLP):
            network.decoder = network.decoder.folded()
        return network.requires_grad_(False)


def _rows(tensors: Sequence[Tensor], rows: Sequence[int]) -> list[Tensor]:
    """These rows of each of the tensors."""
    chosen = torch.tensor(rows).to(tensors[0].device, non_blocking=True)
    return [tensor[chosen] for tensor in tensors]


def _in_order(parts: Sequence[Sequence[Tensor]], order: Sequence[int]) -> list[Tensor]:
    """Each of the tensors whose rows are in `parts`, the rows as they were before `order`."""
    whole = [torch.cat(rows) for rows in zip(*parts, strict=True)]
    return _rows(whole, torch.tensor(order).argsort().tolist())


def make_encoder(name: str, norm_eps: float = 1e-5) -> Encoder:
    """The encoder called so, with random weights."""
    if name not in MIT_CONFIGS:
        return EfficientNetLite(name)
    return MiT(replace(MIT_CONFIGS[name], norm_eps=norm_eps))
