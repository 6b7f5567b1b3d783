"""What a step minimises: each variant sees its own subset, and counts as it is told to."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.pretrained import load_encoder
from any2seg_ros.training import lscd
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.losses import cross_entropy
from any2seg_ros.training.objective import Objective

VARIANTS = ("full", "random", "single")
PIXELS = (32, 16)


@pytest.fixture(scope="module")
def network() -> Any2Seg:
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=16)).eval().requires_grad_(False)
    load_encoder(network, "imagenet")
    network.decoder.classifier.weight.mul_(10)
    return network


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(1)
    subsets = torch.zeros(3, 2, 4, dtype=torch.bool)
    subsets[0] = True
    subsets[1, :, :2] = True
    subsets[2, :, 3] = True
    return Batch(
        torch.randn(2, 4, 3, 32, 64),
        torch.randint(0, 25, (2, 16, 32), dtype=torch.uint8),
        torch.ones(2, 4, dtype=torch.bool),
        subsets,
        VARIANTS,
        ("a", "b"),
        ((), ()),
    )


def losses(network: Any2Seg, batch: Batch, **config: object) -> dict[str, float]:
    objective = Objective(LossConfig(variants=VARIANTS, **config), PIXELS)  # type: ignore[arg-type]
    return {k: float(a / n) for k, (a, n) in objective.losses(network, batch).items()}


def test_a_variant_does_not_see_what_is_not_in_its_subset(network, batch) -> None:
    before = losses(network, batch)
    images = batch.images.clone()
    images[:, 2] = 5.0  # LiDAR: only the full set has it
    after = losses(network, dataclasses.replace(batch, images=images))
    assert after["0_full"] != pytest.approx(before["0_full"], rel=1e-4)
    for name in ("1_random", "2_single"):
        assert after[name] == pytest.approx(before[name], rel=1e-5)


def test_shares_weigh_the_variants(network, batch) -> None:
    alike = losses(network, batch)
    told = losses(network, batch, variant_shares=(2.0, 1.0, 1.0))
    assert told["0_full"] == pytest.approx(alike["0_full"] * 3 / 2, rel=1e-5)
    assert told["2_single"] == pytest.approx(alike["2_single"] * 3 / 4, rel=1e-5)
    assert told["distillation"] == pytest.approx(alike["distillation"], rel=1e-5)


def test_shares_weigh_what_the_variants_are_taught(network, batch) -> None:
    def taught(*shares: float) -> float:
        return losses(network, batch, variant_shares=shares)["distillation"]

    random, single = taught(1e-6, 1.0, 1e-6), taught(1e-6, 1e-6, 1.0)
    assert random != pytest.approx(single, rel=0.1)
    assert taught(1.0, 1.0, 3.0) == pytest.approx(random / 4 + single * 3 / 4, rel=1e-4)


def test_the_full_set_teaches_the_others_only(network, batch) -> None:
    everything = dataclasses.replace(batch, subsets=torch.ones_like(batch.subsets))
    assert losses(network, everything)["distillation"] == pytest.approx(0, abs=1e-5)
    assert losses(network, batch)["distillation"] > 1e-4


def test_class_weights_and_hard_pixels_shape_the_cross_entropy(network, batch) -> None:
    weights = torch.linspace(0.2, 3, 25)
    maps = network.encode(batch.images, batch.present)
    logits = network.segment(maps, batch.subsets[0])[0]
    prediction = F.interpolate(logits, PIXELS[::-1], mode="bilinear", align_corners=False)
    told = []
    for given, keep in ((None, 1.0), (weights, 1.0), (None, 0.1), (weights, 0.1)):
        objective = Objective(LossConfig(variants=("full",), ohem=keep), PIXELS, given)
        full = dataclasses.replace(batch, variants=("full",), subsets=batch.subsets[:1])
        amount, count = objective.losses(network, full)["0_full"]
        expected = cross_entropy(prediction, batch.labels, given, keep)
        torch.testing.assert_close((amount, count), expected)
        told.append(round(float(amount / count), 4))
    assert len(set(told)) == 4


def test_the_jaccard_loss_is_taken_of_each_variant_by_its_share(network, batch) -> None:
    once = losses(network, batch, jaccard=1.0)
    twice = losses(network, batch, jaccard=2.0)
    for name in ("0_full", "1_random", "2_single"):
        assert once[name] == twice[name] > 0
        assert twice[f"{name}_jaccard"] == pytest.approx(2 * once[f"{name}_jaccard"])
        assert 0 < once[f"{name}_jaccard"] < 1


@pytest.mark.parametrize("taught", [None, torch.zeros(2, dtype=torch.bool)])
def test_every_process_has_the_same_losses_whatever_its_samples_are(network, batch, taught) -> None:
    """They are added up one after the other."""
    config = LossConfig(variants=VARIANTS, jaccard=1.0, unimodal=1.0, teacher="another")
    objective = Objective(config, PIXELS, teacher=network)
    alone = torch.zeros_like(batch.present)
    alone[:, 0] = True
    few = dataclasses.replace(batch, present=alone, taught=taught)
    names = list(objective.losses(network, batch))
    assert list(objective.losses(network, few)) == names
    assert {"2_single_jaccard", "distillation", "unimodal"} <= set(names)


def test_scenes_are_distilled_as_much_as_they_are_told_to(network, batch) -> None:
    seen = []

    def scenes(given: Batch) -> torch.Tensor:
        seen.append(given)
        return torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.1, 0.8, 0.1, 0.5]])

    def told(weight: float) -> dict:
        config = LossConfig(variants=VARIANTS, inter_modal=weight, image_teacher="clip")
        return Objective(config, PIXELS, scenes=scenes).losses(network, batch)

    amount, count = told(1.0)["inter_modal"]
    assert seen == [batch] and amount > 0
    torch.testing.assert_close(told(2.0)["inter_modal"], (2 * amount, count))
    maps = network.encode(batch.images, batch.present)
    whole = network.fuse(maps, batch.subsets[0])[0][LossConfig.lscd_scale]
    expected = lscd.inter_modal(maps[LossConfig.lscd_scale], whole, scenes(batch))
    torch.testing.assert_close((amount, count), expected)
    assert "inter_modal" not in losses(network, batch)
