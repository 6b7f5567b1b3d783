"""Checkpoints by their keys: sizes from shapes, our names, and every key accounted for."""

from __future__ import annotations

import published_reference as reference
import pytest
import torch
from published_checkpoints import saved
from torch import nn

from any2seg_ros.network import published
from any2seg_ros.network.mit import MIT_CONFIGS, MiT
from any2seg_ros.network.published import layout
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality


def mit_keys(name: str, prefix: str) -> dict[str, torch.Tensor]:
    """The keys that tell a MiT's size, and nothing else of it."""
    config = MIT_CONFIGS[name]
    keys = {}
    for i, (channels, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
        keys[f"{prefix}patch_embed{i + 1}.proj.weight"] = torch.zeros(channels, 1, 1, 1)
        for j in range(depth):
            keys[f"{prefix}block{i + 1}.{j}.norm1.weight"] = torch.zeros(channels)
    return keys


@pytest.mark.parametrize("name", MIT_CONFIGS)
def test_an_encoder_s_size_is_read_from_its_shapes(name):
    assert layout.mit_name(mit_keys(name, "backbone."), "backbone.") == name


def test_an_encoder_of_no_known_size_is_refused_with_its_size():
    keys = mit_keys("mit_b2", "") | {"block3.6.norm1.weight": torch.zeros(320)}
    with pytest.raises(ValueError, match=r"\(64, 128, 320, 512\) and depths \(3, 4, 7, 3\)"):
        layout.mit_name(keys, "")


def test_the_wrapper_of_several_processes_is_taken_off_and_nothing_else():
    zero = torch.zeros(1)
    names = layout.without_wrapper({"module.a.module.weight": zero, "b.weight": zero})
    assert list(names) == ["a.module.weight", "b.weight"]


def test_the_first_rule_that_fits_names_a_key_and_mit_s_names_are_known_without_one():
    zero = torch.zeros(1)
    rules = ((r"extra(\d)\.", r"first.\1."), (r"extra", "second"))
    keys = {
        name: zero
        for name in ("net.extra3.weight", "net.extra.bias", "net.block2.1.attn.q.bias", "other.x")
    }
    assert set(layout.renamed(keys, "net.", rules)) == {
        "first.3.weight",
        "second.bias",
        "stages.1.blocks.1.attention.q.bias",
    }


def test_a_whole_encoder_has_our_names():
    weights = layout.renamed(reference.layout_mean(), "encoder.", ())
    expected = MiT(MIT_CONFIGS["mit_b0"]).state_dict()
    assert {name: t.shape for name, t in weights.items()} == {
        name: t.shape for name, t in expected.items()
    }


def test_keys_elsewhere_are_those_with_none_of_the_prefixes():
    zero = torch.zeros(1)
    keys = {"a.x": zero, "b.x": zero, "c.a.x": zero}
    assert layout.elsewhere(keys, "a.", "b.") == ["c.a.x"]


@pytest.mark.parametrize(
    ("number", "named", "expected"),
    [
        (4, (), (RGB, DEPTH, EVENT, LIDAR)),
        (4, (RGB, DEPTH), (RGB, DEPTH, EVENT, LIDAR)),
        (2, (RGB, LIDAR), (RGB, LIDAR)),
        (3, (RGB, LIDAR, EVENT), (RGB, EVENT, LIDAR)),
    ],
)
def test_modalities_are_in_the_order_of_training(number, named, expected):
    assert layout.modalities_of(number, named) == expected


def test_modalities_that_nothing_tells_are_asked_for():
    with pytest.raises(ValueError, match=r"takes 3 modalities, .*such as \.\.\._rgbd\.pth"):
        layout.modalities_of(3, (RGB, DEPTH))


@pytest.mark.parametrize(
    ("change", "unused", "words"),
    [
        ({}, ("seen.weight",), "1 keys are not used, such as seen.weight"),
        ({"extra": torch.zeros(1)}, (), "1 keys are not used, such as extra"),
        ({"0.bias": None}, (), "1 keys are missing, such as 0.bias"),
        (
            {"0.bias": None, "extra": torch.zeros(1)},
            (),
            "1 keys are missing, such as 0.bias and 1 keys are not used, such as extra",
        ),
        ({"0.bias": torch.zeros(3)}, (), r"0\.bias has shape \(3,\), not \(2,\)"),
        ({"0.bias": torch.full((2,), torch.nan)}, (), r"0\.bias holds NaN or infinity"),
    ],
)
def test_a_network_is_filled_with_all_keys_or_not_at_all(change, unused, words):
    network = nn.Sequential(nn.Linear(2, 2))
    before = {name: t.clone() for name, t in network.state_dict().items()}
    given = {name: t + 1 for name, t in before.items()} | change
    weights = {name: tensor for name, tensor in given.items() if tensor is not None}
    with pytest.raises(ValueError, match=words):
        layout.fill(network, weights, unused)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_a_count_of_batches_may_be_missing():
    network = nn.BatchNorm2d(2)
    weights = {name: t + 1 for name, t in network.state_dict().items() if "num" not in name}
    layout.fill(network, weights, ())
    assert network.running_mean.tolist() == [1, 1] and network.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("make", "key", "words"),
    [
        (reference.layout_mean, "encoder.head.weight", "1 keys are not used, such as encoder.head"),
        (reference.layout_mean, "extra.weight", "1 keys are not used, such as extra.weight"),
        (reference.layout_cmnext, "backbone.cls_head.weight", "1 keys are not used"),
        (reference.layout_stitchfusion, "auxiliary.0.weight", "1 keys are not used"),
    ],
)
def test_a_key_that_is_not_used_is_an_error(tmp_path, make, key, words):
    weights = {**make(), key: torch.zeros(2)}
    with pytest.raises(ValueError, match=rf"net\.pth: {words}"):
        published.load(saved(tmp_path, weights))


def test_what_is_missing_or_of_another_network_is_said(tmp_path):
    weights = reference.layout_mean()
    del weights["encoder.norm2.bias"]
    with pytest.raises(ValueError, match="1 keys are missing, such as encoder.stages.1.norm.bias"):
        published.load(saved(tmp_path, weights))
    with pytest.raises(ValueError, match="images of 12 channels.*give the student's weights"):
        published.load(saved(tmp_path, reference.layout_mean(first=12)))
    with pytest.raises(ValueError, match="of no network that is known .*first is a.weight"):
        published.load(saved(tmp_path, {"a.weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match="has 7 classes"):
        published.load(saved(tmp_path, reference.layout_mean(64, classes=7)))
