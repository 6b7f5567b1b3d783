"""The whole network: any subset, batched or not, folded, with one encoder or four."""

from __future__ import annotations

import pytest
import torch

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.pretrained import load_encoder
from any2seg_ros.types import Modality

SEPARATE = NetworkConfig(classes=7, width=16, shared_encoder=False, adapters=True)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=32))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


@pytest.fixture
def separate():
    """An encoder for each modality."""
    torch.manual_seed(0)
    return Any2Seg(SEPARATE).eval()


def test_absent_images_are_not_computed(monkeypatch):
    network = Any2Seg(NetworkConfig(width=16)).eval()
    images = torch.randn(2, 4, 3, 32, 64)
    present = torch.tensor([[True, False, True, True], [False, False, True, False]])
    whole = network.encode(images)
    seen = []
    real = network.encoder.forward
    monkeypatch.setattr(network.encoder, "forward", lambda x: seen.append(len(x)) or real(x))
    for some, reference in zip(network.encode(images, present), whole, strict=True):
        mask = present[:, :, None, None, None]
        torch.testing.assert_close(some, reference * mask, atol=1e-4, rtol=1e-4)
    assert seen == [4]


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "mit_b0"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_logits_are_a_quarter_of_the_images_for_any_subset(encoder, count):
    network = Any2Seg(NetworkConfig(encoder=encoder, classes=7, width=16)).eval()
    logits, weights = network(torch.randn(count, 3, 64, 96))
    assert logits.shape == (7, 16, 24)
    assert weights.shape == (count,) and weights.sum().item() == pytest.approx(1)


@torch.no_grad()
def test_the_batched_path_is_the_single_one(network):
    images = torch.randn(2, 3, 3, 32, 64)
    logits, weights = network.segment(network.encode(images))
    for b in range(2):
        one, one_weights = network(images[b])
        torch.testing.assert_close(logits[b], one, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(weights[b], one_weights)


@torch.no_grad()
def test_encoding_once_serves_every_subset(network):
    images = torch.randn(1, 4, 3, 32, 64)
    maps = network.encode(images)
    logits, _ = network.segment([m[:, [1, 3]] for m in maps])
    torch.testing.assert_close(logits[0], network(images[0, [1, 3]])[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_folded_network_is_the_same_function(network):
    images = torch.randn(3, 3, 64, 96)
    expected, weights = network(images)
    logits, folded_weights = network.folded()(images)
    assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()
    torch.testing.assert_close(folded_weights, weights)


def test_an_unknown_encoder_names_those_that_exist():
    with pytest.raises(ValueError, match="mit_b0.*efficientnet_lite0"):
        NetworkConfig(encoder="resnet50")


@torch.no_grad()
def test_each_modality_has_its_own_encoder(separate):
    image = torch.randn(1, 1, 3, 32, 64).expand(-1, 4, -1, -1, -1)
    before = separate.encode(image)
    torch.nn.init.zeros_(separate.encoder_of(Modality.LIDAR).stages[-1][-1].project[1].weight)
    after = separate.encode(image)
    changed = [not torch.equal(before[-1][:, m], after[-1][:, m]) for m in Modality]
    assert changed == [False, False, True, False]
    assert not torch.equal(before[-1][:, 0], before[-1][:, 1])


@torch.no_grad()
def test_an_encoder_without_images_does_not_run(separate, monkeypatch):
    images = torch.randn(2, 4, 3, 32, 64)
    present = torch.tensor([[True, False, True, False], [True, False, False, False]])
    whole = separate.encode(images)
    monkeypatch.setattr(separate.encoder_of(Modality.DEPTH), "forward", pytest.fail)
    for some, reference in zip(separate.encode(images, present), whole, strict=True):
        mask = present[:, :, None, None, None]
        torch.testing.assert_close(some, reference * mask, atol=1e-4, rtol=1e-4)


def test_initial_weights_go_to_every_encoder():
    separate = Any2Seg(SEPARATE)
    load_encoder(separate, "imagenet")
    first, *others = (encoder.state_dict() for encoder in separate.encoders)
    assert len(others) == 3
    for other in others:
        assert all(torch.equal(tensor, other[name]) for name, tensor in first.items())
