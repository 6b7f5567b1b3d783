"""Networks with an encoder for each modality and adapters before the fusion."""

from __future__ import annotations

import pytest
import torch

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, load, save
from any2seg_ros.network.pretrained import load_encoder
from any2seg_ros.training.distributed import share_norms
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
def test_each_modality_has_its_own_encoder(network):
    image = torch.randn(1, 1, 3, 32, 64).expand(-1, 4, -1, -1, -1)
    before = network.encode(image)
    torch.nn.init.zeros_(network.encoder_of(Modality.LIDAR).stages[-1][-1].project[1].weight)
    after = network.encode(image)
    changed = [not torch.equal(before[-1][:, m], after[-1][:, m]) for m in Modality]
    assert changed == [False, False, True, False]
    assert not torch.equal(before[-1][:, 0], before[-1][:, 1])


@torch.no_grad()
def test_an_encoder_without_images_does_not_run(network, monkeypatch):
    images = torch.randn(2, 4, 3, 32, 64)
    present = torch.tensor([[True, False, True, False], [True, False, False, False]])
    whole = network.encode(images)
    monkeypatch.setattr(network.encoder_of(Modality.DEPTH), "forward", pytest.fail)
    for some, reference in zip(network.encode(images, present), whole, strict=True):
        mask = present[:, :, None, None, None]
        torch.testing.assert_close(some, reference * mask, atol=1e-4, rtol=1e-4)


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
def test_a_modality_speaks_differently_in_company(network):
    """With MFF alone, the maps of a modality that is fused with itself are its own, doubled."""
    image = torch.randn(1, 3, 32, 64)
    maps = [f[None] for f in network.maps(image, [Modality.RGB])]
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


def test_adapters_begin_as_nothing():
    torch.manual_seed(0)
    fresh = Any2Seg(CONFIG).eval()
    plain = Any2Seg(NetworkConfig(classes=7, width=16, shared_encoder=False)).eval()
    plain.load_state_dict({n: t for n, t in fresh.state_dict().items() if "adapters" not in n})
    images = torch.randn(4, 3, 32, 64)
    torch.testing.assert_close(fresh(images), plain(images), atol=1e-5, rtol=1e-5)


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


def test_a_transformer_bears_no_image() -> None:
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=16))
    maps = network.encoder(torch.zeros(0, 3, 64, 64))
    assert [m.shape for m in maps] == [
        (0, 32, 16, 16),
        (0, 64, 8, 8),
        (0, 160, 4, 4),
        (0, 256, 2, 2),
    ]


def test_initial_weights_go_to_every_encoder():
    network = Any2Seg(CONFIG)
    load_encoder(network, "imagenet")
    first, *others = (encoder.state_dict() for encoder in network.encoders)
    assert len(others) == 3
    for other in others:
        assert all(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_shared_norms_bear_a_process_without_an_image_of_a_modality():
    """Other processes may have some, and wait for this one's sums."""
    network = Any2Seg(CONFIG).train()
    share_norms(network)
    images = torch.randn(2, 4, 3, 32, 64)
    present = torch.tensor([[True, True, True, False]] * 2)
    maps = network.encode(images, present)
    maps[-1].square().mean().backward()
    silent, speaking = (network.encoder_of(m) for m in (Modality.EVENT, Modality.RGB))
    assert not silent.stem[0].weight.grad.any() and speaking.stem[0].weight.grad.any()
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert not silent.stem[1].running_mean.any() and speaking.stem[1].running_mean.any()
