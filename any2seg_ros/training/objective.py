"""The loss of a batch: each variant of subsets against the label, and the teachers' terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    jaccard,
    unimodal,
)

Lessons = tuple[list[int], list[Tensor]]
"""The samples that a frozen teacher teaches, and its feature maps of them."""

Taught = tuple[str, Tensor, list[int]]
"""A variant, the logits of its samples that are taught, and which rows of the target teach them."""


class Objective:
    """Encodes a batch once, fuses it for every variant of subsets, and returns losses by name.

    `pixels` is (width, height) of the raster the losses are taken on; `names` the K x K cosines of
    the category names (L_se); `scenes` gives cos(E_m, E_s) (B, M) of a batch (L_cr); `teacher` is
    a frozen network whose prediction with all modalities is what every variant is taught.
    `members` says which classes a label stands for, see `cross_entropy`. A sample of one sensor is
    in the first variant alone: all would show the network the same.
    """

    def __init__(
        self,
        config: LossConfig,
        pixels: tuple[int, int],
        class_weights: Tensor | None = None,
        names: Tensor | None = None,
        scenes: Callable[[Batch], Tensor] | None = None,
        teacher: Any2Seg | None = None,
        members: Tensor | None = None,
    ) -> None:
        self.config = config
        self.pixels = pixels
        self.class_weights = class_weights
        self.names = names
        self.scenes = scenes
        self.teacher = teacher
        self.members = members

    def losses(self, network: Any2Seg, batch: Batch) -> dict[str, Pair]:
        """The weighted losses by name, as sums and counts over this process's samples.

        The names depend on the variants alone: each process has the same, for they are added up.
        """
        variants = batch.variants
        count = len(variants)
        maps = network.encode(batch.images, batch.present)
        rows = _rows(batch)
        every = [sample for samples in rows for sample in samples]
        chosen = torch.tensor(every).to(batch.images.device, non_blocking=True)
        subsets = torch.cat([batch.subsets[i, samples] for i, samples in enumerate(rows)])
        fused, _ = network.fuse([m[chosen] for m in maps], subsets)
        logits = network.decoder(fused).split([len(samples) for samples in rows])
        nothing = torch.zeros((), device=batch.images.device)
        losses: dict[str, Pair] = dict.fromkeys(self._names(variants), (nothing, nothing))
        shares = self.config.shares_of(variants)
        for i in range(count):
            self._label(losses, f"{i}_{variants[i]}", shares[i], logits[i], batch, rows[i])
        lessons = self._lessons(batch)
        self._distil(losses, batch, logits, rows, lessons)
        self._distil_features(losses, maps, batch, lessons)
        self._correlate(losses, network, maps, fused, batch)
        return losses

    def _names(self, variants: tuple[str, ...]) -> list[str]:
        """The losses of a step with these variants, whatever its samples are."""
        config = self.config
        names = [f"{i}_{variant}" for i, variant in enumerate(variants)]
        if config.jaccard:
            names += [f"{name}_jaccard" for name in names]
        if variants == ("full",):
            return names
        if config.distillation and (self.teacher is not None or "full" in variants):
            names.append("distillation")
        if self.teacher is not None:
            names += [name for name in ("unimodal", "cross_modal") if getattr(config, name)]
        return names

    def _lessons(self, batch: Batch) -> Lessons | None:
        """What the frozen teacher makes of the samples that it teaches; None where there is none,
        or the full set learns alone."""
        if self.teacher is None or batch.variants == ("full",):
            return None
        everyone = range(len(batch.images))
        known = [i for i in everyone if batch.taught is None or bool(batch.taught[i])]
        if not known:
            return None
        with torch.no_grad():
            return known, self.teacher.encode(batch.images[known], batch.present[known])

    def _distil_features(
        self, losses: dict[str, Pair], maps: list[Tensor], batch: Batch, lessons: Lessons | None
    ) -> None:
        """What AnySeg teaches besides the prediction: the features of the last variant's subset."""
        if lessons is None:
            return
        known, taught = lessons
        subset = batch.subsets[-1][known]
        for name, loss in (("unimodal", unimodal), ("cross_modal", cross_modal)):
            weight = getattr(self.config, name)
            if weight:
                own = [m[known] for m in maps]
                losses[name] = weighted(loss(own, taught, subset), weight)

    def _label(
        self,
        losses: dict[str, Pair],
        name: str,
        share: float,
        logits: Tensor,
        batch: Batch,
        samples: list[int],
    ) -> None:
        """The losses of a variant's samples against their labels."""
        if not samples:
            return
        size = (self.pixels[1], self.pixels[0])
        prediction = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        labels, members = batch.labels[samples], self.members
        trust = None if batch.weights is None else batch.weights[samples].float() / 255
        pair = cross_entropy(
            prediction, labels, self.class_weights, self.config.ohem, members, trust
        )
        losses[name] = weighted(pair, share)
        if self.config.jaccard:
            pair = jaccard(prediction, labels, members, trust)
            losses[f"{name}_jaccard"] = weighted(pair, share * self.config.jaccard)

    def _distil(
        self,
        losses: dict[str, Pair],
        batch: Batch,
        logits: Sequence[Tensor],
        rows: Sequence[list[int]],
        lessons: Lessons | None,
    ) -> None:
        config = self.config
        taught, target = self._taught(batch, logits, rows, lessons)
        if not config.distillation or not taught:
            return
        amount, count = target.new_zeros(()), target.new_zeros(())
        names = tuple(variant for variant, _, _ in taught)
        for (_, student, known), share in zip(taught, config.shares_of(names), strict=True):
            temperature = config.distillation_temperature
            divergence, seen = distillation(student, target[known], temperature)
            amount, count = amount + share * divergence, torch.maximum(count, seen)
        losses["distillation"] = weighted((amount, count), config.distillation)

    def _taught(
        self,
        batch: Batch,
        logits: Sequence[Tensor],
        rows: Sequence[list[int]],
        lessons: Lessons | None,
    ) -> tuple[list[Taught], Tensor]:
        """The variants that are taught, and the logits that teach: of the frozen teacher, or the
        variant `full`'s own. The full set alone learns from labels alone."""
        variants = batch.variants
        if lessons is not None and self.teacher is not None:
            known, maps = lessons
            with torch.no_grad():
                target = self.teacher.segment(maps, batch.present[known])[0]
            pupils = list(range(len(variants)))
        elif self.teacher is None and "full" in variants:
            full = variants.index("full")
            known, target = rows[full], logits[full]
            pupils = [i for i in range(len(variants)) if i != full]
        else:
            return [], logits[0]
        taught = []
        for i in pupils:
            mine = [(n, known.index(s)) for n, s in enumerate(rows[i]) if s in known]
            if mine:
                students, teachers = zip(*mine, strict=True)
                taught.append((variants[i], logits[i][list(students)], list(teachers)))
        return taught, target

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


def _rows(batch: Batch) -> list[list[int]]:
    """The samples of each variant: those of one sensor are in the first alone."""
    several = (batch.present.sum(1) > 1).tolist()
    everyone = list(range(len(several)))
    further = [i for i in everyone if several[i]]
    return [everyone, *([further] * (len(batch.variants) - 1))]


def weighted(pair: Pair, weight: float) -> Pair:
    """The loss times `weight`."""
    return pair[0] * weight, pair[1]
