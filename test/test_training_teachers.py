"""Vision-language teachers from local folders of their real layout, with tiny sizes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import training_data
from torch import Tensor
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

from any2seg_ros.configuration import build
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training import lscd, teachers
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached
from any2seg_ros.training.config import LossConfig, TrainingConfig
from any2seg_ros.training.scenes import Scenes, describe, distances
from any2seg_ros.training.teachers import Clip, LanguageBindTeacher, open_image_teacher, spoken
from any2seg_ros.types import IGNORE, Modality

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
RANK, ALPHA = 4, 6
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """The real classes with a tiny random configuration."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**SMALL, "vocab_size": 31000, "eos_token_id": 102},
        vision_config={**SMALL, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(teachers._minilm_folder()).save_pretrained(folder)
    return folder


def test_clip_embeds_texts_and_modality_images_in_one_space(clip):
    teacher = open_image_teacher(str(clip))
    assert isinstance(teacher, Clip)
    assert teacher.texts(["a road", "a sky"]).shape == (2, 8)
    vectors = teacher.images(Modality.LIDAR, torch.rand(3, 3, 20, 30))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_an_image_size_that_is_a_list_is_a_size_too(clip, tmp_path):
    for file in clip.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["vision_config"]["image_size"] = [32, 32]
    (tmp_path / "config.json").write_text(json.dumps(config))
    images = torch.rand(2, 3, 20, 30)
    expected = open_image_teacher(str(clip)).images(Modality.RGB, images)
    assert torch.equal(teachers.Clip(tmp_path).images(Modality.RGB, images), expected)


# LanguageBind's folders: config.json with LoRA's rank in the vision part and the image size as a
# list, pytorch_model.bin with peft's names, CLIP's tokenizer.


def tower(folder: Path, seed: int, old_names: bool, **vision) -> None:
    folder.mkdir(parents=True)
    text = {**SMALL, "vocab_size": 60, "max_position_embeddings": 12}
    config = {
        "model_type": f"LanguageBind{folder.name.capitalize()}",
        "projection_dim": 8,
        "text_config": {**text, "torch_dtype": None, "eos_token_id": 59},
        "vision_config": {
            **SMALL,
            "image_size": [32, 32],
            "patch_size": 16,
            "num_channels": 3,
            "add_time_attn": False,
            "lora_r": RANK,
            "lora_alpha": ALPHA,
            "lora_dropout": 0.1,
            "num_mel_bins": 0.0,
            **vision,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    model, matrices = base(seed)
    weights = {}
    for name, tensor in model.state_dict().items():
        layer = name.removeprefix("vision_model.encoder.")
        if layer == name:
            weights[name] = tensor
            continue
        stem, kind = layer.rsplit(".", 1)
        adapted = ".self_attn." in stem and not old_names
        stem = f"vision_model.encoder.base_model.model.{stem}" + (".base_layer" if adapted else "")
        weights[f"{stem}.{kind}"] = tensor
    for layer, (down, up) in matrices.items():
        for letter, tensor in (("A", down), ("B", up)):
            name = f"vision_model.encoder.base_model.model.{layer}.lora_{letter}.default.weight"
            weights[name] = tensor
    weights["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    torch.save(weights, folder / "pytorch_model.bin")
    tokenizer(folder)


def base(seed: int) -> tuple[CLIPModel, dict[str, tuple[Tensor, Tensor]]]:
    """A CLIP without LoRA, and LoRA's matrices by layer."""
    torch.manual_seed(seed)
    text = {**SMALL, "vocab_size": 60, "max_position_embeddings": 12, "eos_token_id": 2}
    model = CLIPModel(
        CLIPConfig(
            text_config=text,
            vision_config={**SMALL, "image_size": 32, "patch_size": 16},
            projection_dim=8,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    matrices = {
        f"layers.{i}.self_attn.{name}": (torch.randn(RANK, 16), torch.randn(16, RANK))
        for i in range(SMALL["num_hidden_layers"])
        for name in ("q_proj", "k_proj", "v_proj", "out_proj")
    }
    return model.eval(), matrices


def tokenizer(folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{x}</w>" for x in letters), "ro", "roa", "road</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nr o\nro a\nroa d</w>\n")


@pytest.fixture(scope="module")
def languagebind(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("languagebind")
    tower(folder / "LanguageBind_Image", 1, old_names=True)
    tower(folder / "LanguageBind_Depth", 2, old_names=False, max_depth=10)
    return folder


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


def test_a_teacher_that_is_not_there_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no teacher at .*none"):
        open_image_teacher(str(tmp_path / "none"))


# Scenes


@pytest.fixture(scope="module")
def placed(tmp_path_factory) -> CachedDataset:
    root = tmp_path_factory.mktemp("data")
    training_data.write(root, "train", 3, raw=True, condition="night")
    target = Target((48, 32), PreprocessingConfig())
    source = open_source(root, target, "train")
    return open_cached(source, str(root), target, tmp_path_factory.mktemp("cache"))


def batch_of(placed: CachedDataset, order: list[int]) -> Batch:
    count = len(order)
    present = torch.ones(count, 4, dtype=torch.bool)
    return Batch(
        torch.rand(count, 4, 3, 16, 16),
        torch.zeros(count, 8, 8, dtype=torch.uint8),
        present,
        present[None],
        ("full",),
        tuple(placed.names[i] for i in order),
        (("night",),) * count,
    )


def scenes(placed: CachedDataset, config: LossConfig) -> Scenes:
    return Scenes(config, [placed], DELIVER, PreprocessingConfig())


def test_scenes_correlate_every_modality_of_a_frame_with_its_description(languagebind, placed):
    config = LossConfig(inter_modal=1.0, image_teacher=str(languagebind))
    found = scenes(placed, config)(batch_of(placed, [2, 0]))
    assert found.shape == (2, 4)
    teacher = open_image_teacher(str(languagebind))
    scene = teacher.texts([describe(placed.labels[2], ["night"], DELIVER)])[0]
    images = torch.from_numpy(placed.images[2:3].astype(np.float32))
    metres = distances(images[:, Modality.DEPTH], 1.0, 100.0)
    depth = teacher.images(Modality.DEPTH, images[:, Modality.DEPTH], metres)[0]
    assert float(found[0, Modality.DEPTH]) == pytest.approx(float(depth @ scene), abs=1e-5)
    events = teacher.images(Modality.EVENT, images[:, Modality.EVENT])[0]
    assert float(found[0, Modality.EVENT]) == pytest.approx(float(events @ scene), abs=1e-5)
    loss, _ = lscd.inter_modal(torch.randn(2, 4, 5, 3, 3), torch.randn(2, 5, 3, 3), found)
    assert torch.isfinite(loss)


def test_frames_are_embedded_once_and_kept_by_the_teacher_s_weights(
    languagebind, clip, placed, monkeypatch
):
    config = LossConfig(inter_modal=1.0, image_teacher=str(languagebind))
    first = scenes(placed, config)(batch_of(placed, [0, 1, 2]))
    file = max(placed.folder.glob("scenes_*.npy"), key=lambda path: path.stat().st_mtime)
    vectors = np.load(file)
    vectors[1] = np.nan  # as if it had been cut off there
    np.save(file, vectors)
    seen = []
    embedded = Scenes._embedded

    def spy(self, placed, rows):
        seen.append(list(rows))
        return embedded(self, placed, rows)

    monkeypatch.setattr(Scenes, "_embedded", spy)
    again = scenes(placed, config)(batch_of(placed, [0, 1, 2]))
    torch.testing.assert_close(again, first, atol=1e-5, rtol=1e-4)
    assert seen == [[1]]
    scenes(placed, config)
    assert seen == [[1]]
    scenes(placed, replace(config, image_teacher=str(clip)))
    scenes(placed, replace(config, scene_prompt="streets{conditions}: {classes}"))
    scenes(placed, replace(config, metric_depth=False))
    assert seen == [[1], [0, 1, 2], [0, 1, 2], [0, 1, 2]]


def test_two_frames_of_one_name_cannot_be_told_apart(languagebind, placed):
    config = LossConfig(inter_modal=1.0, image_teacher=str(languagebind))
    with pytest.raises(ValueError, match="two train sets have a frame night/"):
        Scenes(config, [placed, placed], DELIVER, PreprocessingConfig())


def test_distances_undo_the_closeness_of_an_image():
    metres = np.array([[1.0, 3.0, 9.5, 60.0]], np.float32)
    scale = RangeScale()
    planes = np.stack([scale.closeness(metres), scale.nearness(metres), metres * 0])
    planes = np.concatenate([planes, np.zeros((3, 1, 1), np.float32)], 2)  # a hole
    found = distances(torch.from_numpy(planes)[None], scale.near, scale.far)
    np.testing.assert_allclose(found[0, 0, :4], metres[0], rtol=1e-4)
    assert found[0, 0, 4] == 0


def test_a_description_names_the_weather_and_the_commonest_first():
    label = np.array([[6, 6, 6, 17], [9, 9, IGNORE, IGNORE]], np.uint8)
    text = describe(label, ("night", "motionblur"), DELIVER)
    assert text == "a street scene at night with motionblur with road, cars and traffic light"
    assert describe(label, (), DELIVER, "{classes}!") == "road, cars and traffic light!"
    assert spoken("traffic_sign") == "traffic sign"


def test_prompts_and_temperature_are_configuration():
    losses = {"class_prompt": "a photo of a {}", "lscd_temperature": 0.05, "lscd_scale": 3}
    assert build(TrainingConfig, {"losses": losses}).losses.lscd_scale == 3
    with pytest.raises(ValueError, match="lscd_scale is 4, but must be"):
        build(TrainingConfig, {"losses": {"lscd_scale": 4}})
    with pytest.raises(ValueError, match="nothing else in braces"):
        build(TrainingConfig, {"losses": {"scene_prompt": "{weather}"}})
    with pytest.raises(ValueError, match="class_prompt needs {}"):
        build(TrainingConfig, {"losses": {"class_prompt": "a thing"}})
