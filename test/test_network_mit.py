"""Our MiT against transformers' SegFormer with the same weights."""

from __future__ import annotations

import pytest
import torch
from transformers import SegformerConfig, SegformerModel

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.mit import MIT_CONFIGS, MiT, MiTConfig
from any2seg_ros.network.pretrained import load_encoder, mit_weights

TINY = MiTConfig(channels=(8, 16, 24, 32), depths=(1, 2, 1, 1), heads=(1, 2, 3, 4))


def theirs(config: MiTConfig) -> SegformerModel:
    torch.manual_seed(1)
    model = SegformerModel(
        SegformerConfig(
            hidden_sizes=list(config.channels),
            depths=list(config.depths),
            num_attention_heads=list(config.heads),
            sr_ratios=list(config.reductions),
            mlp_ratios=[config.expansion] * 4,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("config", [TINY, MIT_CONFIGS["mit_b0"]], ids=["tiny", "b0"])
@pytest.mark.parametrize("size", [(64, 96), (72, 128)])
def test_maps_are_those_of_transformers(config, size):
    model = theirs(config)
    ours = MiT(config).eval()
    ours.load_state_dict(mit_weights(model.state_dict()))
    images = torch.randn(2, 3, *size)
    expected = model(images, output_hidden_states=True).hidden_states[-4:]
    for mine, reference in zip(ours(images), expected, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_hugging_face_folder_loads(tmp_path):
    model = theirs(MIT_CONFIGS["mit_b0"])
    model.save_pretrained(tmp_path)
    network = Any2Seg(NetworkConfig(encoder="mit_b0")).eval()
    load_encoder(network, str(tmp_path))
    images = torch.randn(1, 3, 64, 64)
    reference = model(images).last_hidden_state
    torch.testing.assert_close(network.encoder(images)[-1], reference, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_names_of_nvidia_mit_load():
    weights = MiT(TINY).state_dict()
    assert set(mit_weights(as_nvidia(weights))) == set(weights)
    assert_same(mit_weights(as_nvidia(weights)), weights)


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone."])
def test_the_original_pth_loads_without_executing_it(tmp_path, prefix):
    encoder = MiT(MIT_CONFIGS["mit_b0"])
    original = as_original(encoder.state_dict(), prefix)
    original[prefix + "head.weight"] = torch.zeros(2, 2)
    torch.save({"state_dict": original}, tmp_path / "mit_b0.pth")
    network = Any2Seg(NetworkConfig(encoder="mit_b0"))
    load_encoder(network, str(tmp_path / "mit_b0.pth"))
    assert_same(network.encoder.state_dict(), encoder.state_dict())


@torch.no_grad()
def test_the_encoder_of_cmnext_loads_and_its_second_branch_stays_out():
    weights = MiT(TINY).state_dict()
    original = as_original(weights, "backbone.")
    for name in list(original):
        other = name.replace("backbone.", "backbone.extra_")
        original[other] = torch.full((3,), 9.0)
        original["backbone.FFMs.0.cross." + name.rsplit(".", 2)[1] + ".weight"] = torch.zeros(1)
    original["backbone.FFMs.0.cross.norm1.weight"] = torch.zeros(1)
    original["decode_head.linear_c1.proj.weight"] = torch.zeros(1)
    assert_same(mit_weights(original), weights)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "cut.safetensors is trunc"),
        ("cut.pth", b"PK\x03\x04", "cut.pth is truncated"),
        ("page.pth", b"Repository not found", "page.pth is truncated"),
        ("words.pth", b"hello world", "words.pth is truncated"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\n", "no file of weights"),
    ],
)
def test_files_that_hold_no_weights_are_one_clear_message(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load_encoder(Any2Seg(NetworkConfig(encoder="mit_b0")), str(tmp_path / name))


def test_a_bare_tensor_is_no_set_of_weights(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "bare.pth")
    with pytest.raises(ValueError, match=r"bare\.pth holds no tensors by name"):
        load_encoder(Any2Seg(NetworkConfig(encoder="mit_b0")), str(tmp_path / "bare.pth"))


def test_a_layer_that_is_missing_is_named(tmp_path):
    network = Any2Seg(NetworkConfig(encoder="mit_b0"))
    weights = as_nvidia(network.encoder.state_dict())
    del weights["segformer.encoder.block.1.0.attention.self.value.weight"]
    torch.save(weights, tmp_path / "half.pth")
    with pytest.raises(ValueError, match=r"half\.pth .*1 tensors are missing, the first is stages"):
        load_encoder(network, str(tmp_path / "half.pth"))


def test_drop_path_acts_in_training_only():
    encoder = MiT(MiTConfig(channels=TINY.channels, depths=TINY.depths, heads=TINY.heads))
    images = torch.randn(1, 3, 32, 32)
    still = encoder.eval()(images)[-1]
    assert torch.equal(still, encoder(images)[-1])
    torch.manual_seed(0)
    encoder.train()
    assert any(not torch.equal(still, encoder(images)[-1]) for _ in range(20))


def assert_same(mine, reference):
    assert set(mine) == set(reference)
    for name, tensor in reference.items():
        assert torch.equal(mine[name], tensor), name


def as_nvidia(weights):
    """Names as in nvidia/mit-b0's pytorch_model.bin."""
    renamed = {}
    for name, tensor in weights.items():
        stage, _, rest = name.removeprefix("stages.").partition(".")
        if rest.startswith("blocks."):
            _, block, rest = rest.split(".", 2)
            base = f"segformer.encoder.block.{stage}.{block}."
            kind = rest.rsplit(".", 1)[1]
            if rest.startswith("attention.kv."):
                key, value = tensor.chunk(2)
                renamed[f"{base}attention.self.key.{kind}"] = key
                renamed[f"{base}attention.self.value.{kind}"] = value
                continue
            layer = {
                "norm1": "layer_norm_1",
                "norm2": "layer_norm_2",
                "attention.q": "attention.self.query",
                "attention.proj": "attention.output.dense",
                "attention.reduce": "attention.self.sr",
                "attention.reduce_norm": "attention.self.layer_norm",
                "mlp.fc1": "mlp.dense1",
                "mlp.fc2": "mlp.dense2",
                "mlp.depthwise": "mlp.dwconv.dwconv",
            }[rest.rsplit(".", 1)[0]]
            renamed[f"{base}{layer}.{kind}"] = tensor
        else:
            layer, kind = rest.rsplit(".", 1)
            base = {
                "embed": f"segformer.encoder.patch_embeddings.{stage}.proj",
                "embed_norm": f"segformer.encoder.patch_embeddings.{stage}.layer_norm",
                "norm": f"segformer.encoder.layer_norm.{stage}",
            }[layer]
            renamed[f"{base}.{kind}"] = tensor
    return renamed


def as_original(weights, prefix):
    """Names as in mit_b0.pth."""
    renamed = {}
    for name, tensor in weights.items():
        stage, _, rest = name.removeprefix("stages.").partition(".")
        number = int(stage) + 1
        rest = rest.replace("attention.reduce_norm", "attn.norm").replace(
            "attention.reduce", "attn.sr"
        )
        rest = rest.replace("attention.", "attn.").replace("mlp.depthwise", "mlp.dwconv.dwconv")
        if rest.startswith("blocks."):
            rest = f"block{number}." + rest.removeprefix("blocks.")
        elif rest.startswith("embed_norm"):
            rest = f"patch_embed{number}.norm." + rest.rsplit(".", 1)[1]
        elif rest.startswith("embed."):
            rest = f"patch_embed{number}.proj." + rest.rsplit(".", 1)[1]
        else:
            rest = f"norm{number}." + rest.rsplit(".", 1)[1]
        renamed[prefix + rest] = tensor
    return renamed


def test_a_transformer_bears_no_image() -> None:
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=16))
    maps = network.encoder(torch.zeros(0, 3, 64, 64))
    assert [m.shape for m in maps] == [
        (0, 32, 16, 16),
        (0, 64, 8, 8),
        (0, 160, 4, 4),
        (0, 256, 2, 2),
    ]
