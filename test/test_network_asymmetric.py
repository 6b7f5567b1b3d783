"""The asymmetric baseline: RGB leads, what is absent is left out of the hub."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.network import NetworkConfig, checkpoints
from any2seg_ros.network.asymmetric import Asymmetric, make_network, parts
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.types import Modality

CONFIG = NetworkConfig(width=16, fusion="hub")


@pytest.fixture(params=["efficientnet_lite0", "mit_b0"])
def network(request) -> Asymmetric:
    torch.manual_seed(0)
    network = make_network(NetworkConfig(request.param, width=16, fusion="hub"))
    assert isinstance(network, Asymmetric)
    return network.eval()


@torch.no_grad()
def test_the_parts_of_an_encoder_are_the_encoder(network):
    image = torch.randn(1, 3, 64, 96)
    expected = network.encoder(image)
    for part, reference in zip(parts(network.encoders[0]), expected, strict=True):
        image = part(image)
        torch.testing.assert_close(image, reference)


@torch.no_grad()
def test_absent_modalities_do_not_change_the_logits(network):
    images = torch.randn(2, 4, 3, 64, 96)
    present = torch.tensor([[True, True, False, True], [True, False, True, False]])
    logits, weights = network.segment(network.encode(images, present), present)
    assert logits.shape == (2, 25, 16, 24)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    changed = torch.where(present[:, :, None, None, None], images, torch.randn_like(images))
    again, _ = network.segment(network.encode(changed, present), present)
    torch.testing.assert_close(again, logits)
    dropped = present & torch.tensor([[True, True, True, False], [True, True, True, True]])
    assert not torch.allclose(network.segment([images], dropped)[0][0], logits[0])


@torch.no_grad()
def test_the_leading_branch_goes_on_with_what_the_hub_has_rectified(network):
    images = torch.randn(1, 4, 3, 64, 96)
    seen = []
    network.hub.scales[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    everyone = torch.ones(1, 4, dtype=torch.bool)
    network.segment([images], everyone)
    images[:, Modality.LIDAR] += 1
    network.segment([images], everyone)
    assert not torch.equal(*seen)


def test_it_is_kept_and_run_as_any_other_network(tmp_path):
    torch.manual_seed(0)
    network = make_network(CONFIG).eval()
    path = tmp_path / "hub.safetensors"
    checkpoints.save(path, network, Metadata(size=(96, 64)))
    segmenter = Segmenter.open(EngineConfig(str(path), device="cpu", threads=1))
    rng = np.random.default_rng(0)
    given = {m: rng.standard_normal((3, 64, 96)).astype(np.float32) for m in Modality}
    pair = {m: given[m] for m in (Modality.RGB, Modality.LIDAR)}
    found, weights = segmenter.logits(segmenter.encode(pair))
    images = torch.from_numpy(np.stack([given[m] for m in Modality]))[None]
    present = torch.tensor([[True, False, True, False]])
    with torch.no_grad():
        expected = network.segment(network.encode(images, present), present)[0][0]
    assert np.abs(found - expected.numpy()).max() <= 1e-4 * float(expected.abs().max())
    assert weights.tolist() == [0.5, 0.5] and segmenter.leaves_out


def test_what_it_cannot_be_combined_with_is_said():
    with pytest.raises(ValueError, match="fusion hub has one encoder, RGB's, and no adapters"):
        NetworkConfig(fusion="hub", adapters=True)
    with pytest.raises(ValueError, match="unknown fusion 'max': use one of mff, mean, hub"):
        NetworkConfig(fusion="max")
