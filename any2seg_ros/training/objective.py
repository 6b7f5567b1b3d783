"""The loss of a batch: each variant of subsets against the label, and the teachers' terms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from any2seg_ros.network import Any2Seg
from any2seg_ros.training import lscd
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.losses import (
    Pair,
    cross_entropy,
    cross_modal,
    distillation,
    unimodal,
)


class Objective:
    """Encodes a batch once, fuses it for every variant of subsets, and returns losses by name.

    `pixels` is (width, height) of the raster the losses are taken on; `names` the K x K cosines of
    the category names (L_se); `scenes` gives cos(E_m, E_s) (B, M) of a batch (L_cr); `teacher` is
    a frozen network whose prediction with all modalities is what every variant is taught.
    """

    def __init__(
        self,
        config: LossConfig,
        pixels: tuple[int, int],
        class_weights: Tensor | None = None,
        names: Tensor | None = None,
        scenes: Callable[[Batch], Tensor] | None = None,
        teacher: Any2Seg | None = None,
    ) -> None:
        self.config = config
        self.pixels = pixels
        self.class_weights = class_weights
        self.names = names
        self.scenes = scenes
        self.teacher = teacher

    def losses(self, network: Any2Seg, batch: Batch) -> dict[str, Pair]:
        """The weighted losses by name, as sums and counts over this process's samples."""
        variants = batch.variants
        count = len(variants)
        maps = network.encode(batch.images, batch.present)
        repeated = [m.repeat(count, 1, 1, 1, 1) for m in maps]
        fused, _ = network.fuse(repeated, batch.subsets.flatten(0, 1))
        logits = network.decoder(fused)
        size = (self.pixels[1], self.pixels[0])
        predictions = F.interpolate(logits, size, mode="bilinear", align_corners=False).chunk(count)
        losses: dict[str, Pair] = {}
        shares = self.config.shares_of(variants)
        for i, (variant, prediction) in enumerate(zip(variants, predictions, strict=True)):
            pair = cross_entropy(prediction, batch.labels, self.class_weights, self.config.ohem)
            losses[f"{i}_{variant}"] = weighted(pair, shares[i])
        lessons = self._lessons(batch)
        self._distil(losses, batch, logits.chunk(count), lessons)
        self._distil_features(losses, maps, batch, lessons)
        self._correlate(losses, network, maps, fused, batch)
        return losses

    def _lessons(self, batch: Batch) -> list[Tensor] | None:
        """The frozen teacher's maps; None where there is none, or the full set learns alone."""
        if self.teacher is None or batch.variants == ("full",):
            return None
        with torch.no_grad():
            return self.teacher.encode(batch.images, batch.present)

    def _distil_features(
        self,
        losses: dict[str, Pair],
        maps: list[Tensor],
        batch: Batch,
        lessons: list[Tensor] | None,
    ) -> None:
        """What AnySeg teaches besides the prediction: the features of the last variant's subset."""
        if lessons is None:
            return
        subset = batch.subsets[-1]
        for name, loss in (("unimodal", unimodal), ("cross_modal", cross_modal)):
            weight = getattr(self.config, name)
            if weight:
                losses[name] = weighted(loss(maps, lessons, subset), weight)

    def _distil(
        self,
        losses: dict[str, Pair],
        batch: Batch,
        logits: tuple[Tensor, ...],
        lessons: list[Tensor] | None,
    ) -> None:
        config = self.config
        taught, target = self._taught(batch, logits, lessons)
        if not config.distillation or not taught:
            return
        amount, count = target.new_zeros(()), target.new_zeros(())
        for student, share in zip(taught.values(), config.shares_of(tuple(taught)), strict=True):
            divergence, count = distillation(student, target, config.distillation_temperature)
            amount = amount + share * divergence
        losses["distillation"] = weighted((amount, count), config.distillation)

    def _taught(
        self, batch: Batch, logits: tuple[Tensor, ...], lessons: list[Tensor] | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The logits of the variants that learn from a teacher, and the teacher's.

        The teacher is the frozen one, by its maps, or the variant `full`; alone, `full` has none.
        """
        students = dict(zip(batch.variants, logits, strict=True))
        if self.teacher is not None and lessons is not None:
            with torch.no_grad():
                return students, self.teacher.segment(lessons, batch.present)[0]
        if "full" not in students:
            return {}, logits[0]
        target = students.pop("full")
        return students, target

    def _correlate(
        self,
        losses: dict[str, Pair],
        network: Any2Seg,
        maps: list[Tensor],
        fused: list[Tensor],
        batch: Batch,
    ) -> None:
        samples = len(batch.images)
        scale = self.config.lscd_scale
        whole = fused[scale][:samples]
        if self.names is not None and self.config.intra_modal:
            pair = lscd.intra_modal(whole, batch.labels, self.names)
            losses["intra_modal"] = weighted(pair, self.config.intra_modal)
        if self.scenes is not None and self.config.inter_modal:
            teacher = self.scenes(batch)
            teacher = teacher.masked_fill(~batch.subsets[0].to(teacher.device), -torch.inf)
            own = network.adapted(maps, batch.subsets[0])[scale]
            pair = lscd.inter_modal(own, whole, teacher, self.config.lscd_temperature)
            losses["inter_modal"] = weighted(pair, self.config.inter_modal)


def weighted(pair: Pair, weight: float) -> Pair:
    """The loss times `weight`."""
    return pair[0] * weight, pair[1]
