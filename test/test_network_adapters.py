"""Adapters: channels are mixed by modality and number of modalities."""

from __future__ import annotations

import pytest
import torch

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, load, save
from any2seg_ros.types import Modality, all_subsets

CONFIG = NetworkConfig(classes=7, width=16, shared_encoder=False, adapters=True)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Any2Seg(CONFIG).eval()
    for matrices in network.adapters.matrices:
        torch.nn.init.normal_(matrices, std=0.1)
    return network


@torch.no_grad()
def test_a_modality_alone_is_mixed_otherwise_than_with_others(network):
    """With MFF alone, the maps of a modality that is fused with itself are its own, doubled."""
    image = torch.randn(1, 3, 32, 64)
    maps = [f[None] for f in network.features(image, [Modality.RGB])]
    twice = [f.repeat(1, 2, 1, 1, 1) for f in maps]
    alone, _ = network.fuse(maps, None, [Modality.RGB])
    together, _ = network.fuse(twice, None, [Modality.RGB, Modality.RGB])
    assert not torch.allclose(alone[0], together[0], atol=1e-2)
    for matrices in network.adapters.matrices:
        torch.nn.init.zeros_(matrices)
    alone, _ = network.fuse(maps, None, [Modality.RGB])
    together, _ = network.fuse(twice, None, [Modality.RGB, Modality.RGB])
    torch.testing.assert_close(alone[0], together[0])


@torch.no_grad()
def test_adapted_maps_are_what_the_fusion_gets(network):
    maps = network.encode(torch.rand(3, 4, 3, 32, 64))
    present = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=torch.bool)
    fused, _ = network.fuse(maps, present)
    again, _ = network._fuse(network.adapted(maps, present), present)
    for one, other in zip(fused, again, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_new_adapters_change_nothing():
    torch.manual_seed(0)
    fresh = Any2Seg(CONFIG).eval()
    plain = Any2Seg(NetworkConfig(classes=7, width=16, shared_encoder=False)).eval()
    plain.load_state_dict({n: t for n, t in fresh.state_dict().items() if "adapters" not in n})
    images = torch.randn(4, 3, 32, 64)
    torch.testing.assert_close(fresh(images), plain(images), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_all_subsets_at_once_are_what_each_is_alone(network):
    images = torch.randn(1, 4, 3, 32, 64)
    subsets = all_subsets()
    present = torch.tensor([[m in subset for m in Modality] for subset in subsets])
    logits, weights = network.segment(network.encode(images), present)
    for subset, mine, shares in zip(subsets, logits, weights, strict=True):
        alone, expected = network(images[0, list(subset)], subset)
        torch.testing.assert_close(mine, alone, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(shares[list(subset)], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_weights_come_back_from_a_file_and_folded(network, tmp_path):
    images = torch.randn(2, 3, 32, 64)
    subset = (Modality.DEPTH, Modality.EVENT)
    save(tmp_path / "net.safetensors", network, Metadata())
    loaded, _ = load(tmp_path / "net.safetensors")
    assert loaded.config == CONFIG
    expected, _ = network(images, subset)
    torch.testing.assert_close(loaded(images, subset)[0], expected)
    torch.testing.assert_close(loaded.folded()(images, subset)[0], expected, atol=1e-4, rtol=1e-4)
