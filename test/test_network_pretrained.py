"""Weights of other programs: the same logits in our decoder, and nothing is executed."""

from __future__ import annotations

import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.mit import MIT_CONFIGS
from any2seg_ros.network.pretrained import load_encoder, load_head

WIDTH, CLASSES = 32, 7


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    sizes = MIT_CONFIGS["mit_b0"]
    config = SegformerConfig(
        hidden_sizes=list(sizes.channels),
        depths=list(sizes.depths),
        num_attention_heads=list(sizes.heads),
        decoder_hidden_size=WIDTH,
        num_labels=CLASSES,
    )
    model = SegformerForSemanticSegmentation(config).eval()
    torch.nn.init.uniform_(model.decode_head.batch_norm.running_var, 0.5, 1.5)
    torch.nn.init.uniform_(model.decode_head.batch_norm.running_mean, -0.5, 0.5)
    return model


def ours(classes: int = CLASSES) -> Any2Seg:
    return Any2Seg(NetworkConfig("mit_b0", classes, WIDTH)).eval()


@torch.no_grad()
def test_a_whole_segformer_gives_its_logits_for_one_modality(theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    network = ours()
    load_encoder(network, str(tmp_path))
    assert load_head(network, str(tmp_path))
    images = torch.randn(1, 3, 64, 96)

    logits = network.decoder(network.encoder(images))
    expected = theirs(images).logits
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["decode_head.", "module.decode_head."])
def test_heads_of_the_research_repositories_load(theirs, tmp_path, prefix):
    weights = theirs.decode_head.state_dict()
    renamed = {}
    for name, tensor in weights.items():
        name = name.replace("linear_fuse.", "linear_fuse.conv.")
        name = name.replace("batch_norm.", "linear_fuse.bn.")
        name = name.replace("classifier.", "linear_pred.")
        for i in range(4):
            for word in ("linear_projections", "linear_c"):
                name = name.replace(f"{word}.{i}.", f"linear_c{i + 1}.")
        renamed[prefix + name] = tensor
    torch.save(renamed, tmp_path / "net.pth")
    network = ours()
    assert load_head(network, str(tmp_path / "net.pth"))
    maps = [torch.randn(1, c, 16 // 2**i, 24 // 2**i) for i, c in enumerate((32, 64, 160, 256))]
    expected = theirs.decode_head(maps)
    torch.testing.assert_close(network.decoder(maps), expected, atol=1e-4, rtol=1e-4)


def test_a_head_for_other_classes_keeps_our_last_layer(theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    network = ours(classes=3)
    before = network.decoder.classifier.weight.clone()
    assert load_head(network, str(tmp_path))
    assert torch.equal(network.decoder.classifier.weight, before)
    assert torch.equal(network.decoder.norm.running_var, theirs.decode_head.batch_norm.running_var)


def test_a_file_without_a_fitting_head_leaves_the_decoder_alone(tmp_path):
    torch.save(Any2Seg(NetworkConfig("mit_b0")).encoder.state_dict(), tmp_path / "e.pth")
    assert not load_head(ours(), str(tmp_path / "e.pth"))


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
