"""Checkpoints: they come back whole, and what is none is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, load, save


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=32))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def test_a_checkpoint_comes_back_with_all_it_says(network, tmp_path):
    metadata = Metadata(
        size=(320, 192),
        temperatures={"rgb": 1.5},
        preprocessing={"far": 80.0},
        training={"seed": 3},
    )
    save(tmp_path / "a" / "net.safetensors", network, metadata)
    again, read = load(tmp_path / "a" / "net.safetensors")
    assert read == metadata and again.config == network.config and not again.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["net.safetensors"]


@torch.no_grad()
def test_half_storage_changes_little(network, tmp_path):
    save(tmp_path / "net.safetensors", network, Metadata(), half=True)
    again, _ = load(tmp_path / "net.safetensors")
    images = torch.randn(2, 3, 32, 64)
    expected = network(images)[0]
    assert (again(images)[0] - expected).abs().max() < 0.02 * expected.abs().max()


def test_a_truncated_checkpoint_names_the_file_and_the_fix(network, tmp_path):
    path = tmp_path / "net.safetensors"
    save(path, network, Metadata())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"net\.safetensors is truncated.*again"):
        load(path)


def test_a_foreign_safetensors_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no Any2Seg checkpoint"):
        load(tmp_path / "other.safetensors")


def test_a_checkpoint_of_another_architecture_is_refused(network, tmp_path):
    save(tmp_path / "net.safetensors", network, Metadata())
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        words = file.metadata()
    words["network"] = json.dumps({"encoder": "mit_b0", "width": 32})
    save_file(network.state_dict(), tmp_path / "net.safetensors", words)
    with pytest.raises(ValueError, match="another architecture's"):
        load(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperatures", []),
        ("temperatures", None),
        ("temperatures", {"rgb": 0}),
        ("temperatures", {"rgb": "warm"}),
        ("placing", []),
        ("network", {"classes": -1}),
        ("network", {"classes": 10_000_000}),
        ("network", {"refine": 1_000_000}),
        ("temperatures", {"rgb": float("inf")}),
        ("size", [float("inf"), 144]),
    ],
)
def test_a_checkpoint_that_no_frame_could_be_segmented_with_is_refused(
    network, tmp_path, key, value
):
    path = tmp_path / "net.safetensors"
    save(path, network, Metadata())
    with safe_open(path, "pt") as file:
        words = file.metadata()
    save_file(network.state_dict(), path, {**words, key: json.dumps(value)})
    with pytest.raises(ValueError, match=r"net\.safetensors needs another version"):
        load(path)


@pytest.mark.parametrize("key", ["network", "training", "gate"])
def test_words_that_are_nested_without_end_are_one_line(network, tmp_path, key):
    path = tmp_path / "net.safetensors"
    save(path, network, Metadata())
    with safe_open(path, "pt") as file:
        words = file.metadata()
    save_file(network.state_dict(), path, {**words, key: "[" * 100_000})
    with pytest.raises(ValueError, match=r"net\.safetensors needs another version"):
        load(path)


def test_a_network_is_not_made_before_its_tensors_are_known_to_be_there(network, tmp_path):
    """64 blocks of 4096 channels take 77 GB."""
    save(tmp_path / "net.safetensors", network, Metadata())
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        words = file.metadata()
    words["network"] = json.dumps({"width": 4096, "refine": 64})
    save_file(network.state_dict(), tmp_path / "net.safetensors", words)
    with pytest.raises(ValueError, match="another architecture's"):
        load(tmp_path / "net.safetensors")


def test_a_missing_checkpoint_names_the_file_and_the_fix(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.safetensors: give"):
        load(tmp_path / "none.safetensors")
