"""LanguageBind's towers: LoRA merged, texts and depth as they were trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_teachers import ALPHA, CLIP_MEAN, CLIP_STD, RANK, base, tower, write_languagebind
from torch import Tensor

from any2seg_ros.training.teachers import LanguageBindTeacher, open_image_teacher
from any2seg_ros.types import Modality


@pytest.fixture(scope="module")
def languagebind(tmp_path_factory) -> Path:
    return write_languagebind(tmp_path_factory.mktemp("languagebind"))


@torch.no_grad()
def with_lora(seed: int, seen: Tensor) -> Tensor:
    """What a tower with LoRA beside its layers, not merged, makes of images (n, 3, 32, 32)."""
    model, matrices = base(seed)
    for name, (down, up) in matrices.items():
        layer = model.vision_model.encoder.get_submodule(name)

        def beside(module, inputs, output, down=down, up=up):
            return output + ALPHA / RANK * (inputs[0] @ down.T @ up.T)

        layer.register_forward_hook(beside)
    features = model.get_image_features((seen - CLIP_MEAN) / CLIP_STD)
    vectors = features if isinstance(features, Tensor) else features.pooler_output
    return vectors / vectors.norm(dim=1, keepdim=True)


def test_languagebind_s_image_tower_is_clip_with_lora_merged(languagebind):
    teacher = open_image_teacher(str(languagebind))
    assert isinstance(teacher, LanguageBindTeacher)
    images = torch.rand(3, 3, 32, 32)
    expected = with_lora(1, images)
    for modality in (Modality.RGB, Modality.EVENT):
        torch.testing.assert_close(teacher.images(modality, images), expected, atol=1e-5, rtol=1e-4)


def test_languagebind_s_depth_tower_sees_metres_clipped_to_ten(languagebind):
    teacher = open_image_teacher(str(languagebind))
    metres = torch.rand(2, 32, 32) * 30
    metres[:, :5] = 0
    # As it was trained: mm / 1000, at least 0.01 m and at most 10 m, divided by 10 m, three times.
    seen = (metres.numpy() * 1000 / 1000).clip(0.01, 10) / 10
    expected = with_lora(2, torch.from_numpy(seen)[:, None].repeat(1, 3, 1, 1))
    for modality in (Modality.DEPTH, Modality.LIDAR):
        found = teacher.images(modality, torch.rand(2, 3, 32, 32), metres)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_languagebind_s_texts_end_where_their_last_token_is(languagebind):
    teacher = open_image_teacher(str(languagebind))
    vectors = teacher.texts(["road", "a road"])
    model, _ = base(1)
    start, end, road = 55, 56, 54
    rows = [[start, road, end], [start, 26, road, end]]
    ids = torch.tensor([row + [end] * (12 - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (12 - len(row)) for row in rows])
    features = model.get_text_features(input_ids=ids, attention_mask=mask)
    expected = features if isinstance(features, Tensor) else features.pooler_output
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-4)


def test_lora_is_merged_by_its_own_rank_and_never_left_out(languagebind, tmp_path):
    for name in ("image", "depth"):
        tower(tmp_path / name, 1, old_names=True)
    path, images = tmp_path / "image" / "config.json", torch.rand(2, 3, 32, 32)
    config = json.loads(path.read_text())
    del config["vision_config"]["lora_r"]
    path.write_text(json.dumps(config))
    found = open_image_teacher(str(tmp_path)).images(Modality.RGB, images)
    torch.testing.assert_close(found, with_lora(1, images), atol=1e-5, rtol=1e-4)
    del config["vision_config"]["lora_alpha"]
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"image: it has LoRA's matrices, but"):
        open_image_teacher(str(tmp_path))


def test_a_tower_that_is_not_whole_is_said(languagebind, tmp_path):
    tower(tmp_path / "image", 1, old_names=True)
    tower(tmp_path / "depth", 2, old_names=True)
    path = tmp_path / "depth" / "pytorch_model.bin"
    weights = torch.load(path, weights_only=True)
    name = "vision_model.encoder.base_model.model.layers.0.self_attn.q_proj.lora_B.default.weight"
    torch.save({k: t for k, t in weights.items() if k != name}, path)
    with pytest.raises(ValueError, match="LoRA's matrices of .*q_proj.weight are not complete"):
        open_image_teacher(str(tmp_path))
    torch.save({**weights, "more": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="1 keys differ, the first is more"):
        open_image_teacher(str(tmp_path))
    (tmp_path / "depth" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config\.json in .*depth"):
        open_image_teacher(str(tmp_path))
