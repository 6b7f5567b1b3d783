"""Scenes: each frame embedded once, kept, and correlated with its description."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import training_data
from tiny_teachers import write_clip, write_languagebind

from any2seg_ros.configuration import build
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training import lscd, scene_tower
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached
from any2seg_ros.training.config import LossConfig, TrainingConfig
from any2seg_ros.training.scene_tower import SceneTower
from any2seg_ros.training.scenes import Scenes, describe, distances
from any2seg_ros.training.teachers import MiniLM, open_image_teacher, spoken
from any2seg_ros.types import IGNORE, Modality

CLASSES = ClassGroups.of_classes(DELIVER)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def languagebind(tmp_path_factory) -> Path:
    return write_languagebind(tmp_path_factory.mktemp("languagebind"))


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
    scene = teacher.texts([describe(placed.labels[2], ["night"], CLASSES)])[0]
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


@torch.no_grad()
def test_a_scene_teacher_sees_the_images_that_it_was_trained_on(placed, tmp_path):
    torch.manual_seed(0)
    tower = SceneTower((32, 16)).eval()
    scene_tower.save(tmp_path / "teacher", tower, {})
    config = LossConfig(inter_modal=1.0, image_teacher=str(tmp_path / "teacher"))
    found = scenes(placed, config)(batch_of(placed, [1]))[0]
    text = MiniLM().texts([describe(placed.labels[1], ["night"], CLASSES)])[0]
    for modality in Modality:
        image = torch.from_numpy(placed.images[1:2, modality].astype(np.float32))
        own = float(tower(modality, image)[0] @ text)
        assert float(found[modality]) == pytest.approx(own, abs=1e-3)


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
    text = describe(label, ("night", "motionblur"), CLASSES)
    assert text == "a street scene at night with motionblur with road, cars and traffic light"
    assert describe(label, (), CLASSES, "{classes}!") == "road, cars and traffic light!"
    assert spoken("traffic_sign") == "traffic sign"


def test_a_description_names_what_the_labels_stand_for():
    """Two values stand for cars, and one for road or road line: nobody knows which."""
    named = (["Sky"], ["Cars"], ["Road", "RoadLine"], ["Cars"])
    groups = ClassGroups(DELIVER, tuple(frozenset(map(DELIVER.id, names)) for names in named))
    label = np.array([[0, 0, 0, 1], [3, 3, 3, 2], [2, 2, 2, IGNORE]], np.uint8)
    assert describe(label, (), groups, "{classes}") == "cars and sky"


def test_prompts_and_temperature_are_configuration():
    losses = {"class_prompt": "a photo of a {}", "lscd_temperature": 0.05, "lscd_scale": 3}
    assert build(TrainingConfig, {"losses": losses}).losses.lscd_scale == 3
    with pytest.raises(ValueError, match="lscd_scale is 4, but must be"):
        build(TrainingConfig, {"losses": {"lscd_scale": 4}})
    with pytest.raises(ValueError, match="nothing else in braces"):
        build(TrainingConfig, {"losses": {"scene_prompt": "{weather}"}})
    with pytest.raises(ValueError, match="class_prompt needs {}"):
        build(TrainingConfig, {"losses": {"class_prompt": "a thing"}})
