"""What is known of a network before torch is imported."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save
from any2seg_ros.types import Modality


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=8, adapters=True))
    for matrices in network.adapters.matrices:
        torch.nn.init.normal_(matrices, std=0.1)
    return network.eval()


@pytest.fixture
def path(network, tmp_path):
    save(tmp_path / "net.safetensors", network, Metadata(size=(64, 32)))
    return tmp_path / "net.safetensors"


def test_a_checkpoint_and_its_network_tell_the_same(network, path):
    for source in (NetworkSource.of_checkpoint(path), NetworkSource.of_network(network)):
        assert source.encoder == "efficientnet_lite0" and source.shared_encoder
        assert source.has_adapters
        for group in range(3):
            chosen = [Modality.DEPTH, Modality.EVENT]
            expected = network.adapters.mixing(group, chosen)
            for mine, theirs in zip(source.mixing(group, chosen), expected, strict=True):
                np.testing.assert_allclose(mine, theirs.detach(), atol=1e-6)


def test_without_adapters_nothing_is_mixed(tmp_path):
    save(tmp_path / "net.safetensors", Any2Seg(NetworkConfig(width=8)), Metadata())
    source = NetworkSource.of_checkpoint(tmp_path / "net.safetensors")
    assert not source.has_adapters and source.mixing(0, [Modality.RGB]) == []


def test_the_network_is_folded_and_the_given_one_stays(network, path):
    images = torch.rand(2, 3, 32, 64)
    subset = (Modality.RGB, Modality.LIDAR)
    with torch.no_grad():
        expected, _ = network(images, subset)
        for source in (NetworkSource.of_checkpoint(path), NetworkSource.of_network(network)):
            assert source.network is not network and source.network is source.network
            logits, _ = source.network(images, subset)
            torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)


def test_digests_differ_by_weights_and_nothing_else(network, path, tmp_path):
    digest = NetworkSource.of_network(network).digest
    assert NetworkSource.of_network(network).digest == digest
    torch.manual_seed(1)
    other = Any2Seg(network.config)
    assert NetworkSource.of_network(other).digest != digest
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(path.read_bytes())
    assert NetworkSource.of_checkpoint(copy).digest == NetworkSource.of_checkpoint(path).digest
    save(copy, other, Metadata(size=(64, 32)))
    assert NetworkSource.of_checkpoint(copy).digest != NetworkSource.of_checkpoint(path).digest
