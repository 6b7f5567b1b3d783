"""The loss of a batch: every variant of subsets against the label, and what teachers add."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from any2seg_ros.network import Any2Seg
from any2seg_ros.training import lscd
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.losses import cross_entropy, distillation

Pair = tuple[Tensor, Tensor]
"""A loss as sum and count."""


class Objective:
    """Encodes a batch once, fuses it for every variant of subsets, and tells the losses by name.

    `pixels` is (width, height) of the raster the losses are taken on; `names` the K x K cosines of
    the category names (L_se); `scenes` gives cos(E_m, E_s) (B, M) of a batch (L_cr).
    """

    def __init__(
        self,
        config: LossConfig,
        pixels: tuple[int, int],
        class_weights: Tensor | None = None,
        names: Tensor | None = None,
        scenes: Callable[[Batch], Tensor] | None = None,
    ) -> None:
        self.config = config
        self.pixels = pixels
        self.class_weights = class_weights
        self.names = names
        self.scenes = scenes

    def losses(self, network: Any2Seg, batch: Batch) -> dict[str, Pair]:
        """The weighted losses by name, as sums and counts over this process's samples."""
        variants = batch.variants
        count = len(variants)
        maps = network.encode(batch.images)
        repeated = [m.repeat(count, 1, 1, 1, 1) for m in maps]
        fused, _ = network.fuse(repeated, batch.subsets.flatten(0, 1))
        logits = network.decoder(fused)
        size = (self.pixels[1], self.pixels[0])
        predictions = F.interpolate(logits, size, mode="bilinear", align_corners=False).chunk(count)
        losses: dict[str, Pair] = {}
        for i, (variant, prediction) in enumerate(zip(variants, predictions, strict=True)):
            pair = cross_entropy(prediction, batch.labels, self.class_weights, self.config.ohem)
            losses[f"{i}_{variant}"] = weighted(pair, 1 / count)
        self._distil(losses, variants, logits.chunk(count))
        self._correlate(losses, maps, fused, batch)
        return losses

    def _distil(
        self, losses: dict[str, Pair], variants: tuple[str, ...], logits: tuple[Tensor, ...]
    ) -> None:
        config = self.config
        students = [i for i, variant in enumerate(variants) if variant != "full"]
        if not config.distillation or not students or "full" not in variants:
            return
        teacher = logits[variants.index("full")]
        student = torch.cat([logits[i] for i in students])
        pair = distillation(
            student, teacher.repeat(len(students), 1, 1, 1), config.distillation_temperature
        )
        losses["distillation"] = weighted(pair, config.distillation)

    def _correlate(
        self, losses: dict[str, Pair], maps: list[Tensor], fused: list[Tensor], batch: Batch
    ) -> None:
        samples = len(batch.images)
        whole = fused[lscd.SCALE][:samples]
        if self.names is not None and self.config.intra_modal:
            pair = lscd.intra_modal(whole, batch.labels, self.names)
            losses["intra_modal"] = weighted(pair, self.config.intra_modal)
        if self.scenes is not None and self.config.inter_modal:
            teacher = self.scenes(batch).masked_fill(~batch.subsets[0], -torch.inf)
            pair = lscd.inter_modal(maps[lscd.SCALE], whole, teacher)
            losses["inter_modal"] = weighted(pair, self.config.inter_modal)


def weighted(pair: Pair, weight: float) -> Pair:
    """The same loss, `weight` times as important."""
    return pair[0] * weight, pair[1]
