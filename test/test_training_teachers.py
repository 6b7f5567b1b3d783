"""Teachers from local folders of their real layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_teachers import write_clip

from any2seg_ros.training import scene_tower, teachers
from any2seg_ros.training.augmentation import MEAN, STD
from any2seg_ros.training.scene_tower import SceneTower
from any2seg_ros.training.teachers import Clip, SceneTeacher, fingerprint, open_image_teacher
from any2seg_ros.types import Modality


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


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


def test_a_teacher_that_is_not_there_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no teacher at .*none"):
        open_image_teacher(str(tmp_path / "none"))


def test_the_folder_of_a_scene_teacher_is_one_of_texts_and_images(tmp_path):
    folder = tmp_path / "teacher"
    torch.manual_seed(0)
    tower = SceneTower((32, 16)).eval()
    scene_tower.save(folder, tower, {})
    teacher = open_image_teacher(str(folder))
    assert isinstance(teacher, SceneTeacher)
    images = torch.rand(2, 3, 32, 64)
    for modality in Modality:
        vectors = teacher.images(modality, images)
        assert vectors.shape == teacher.texts(["a road", "a sky"]).shape == (2, 384)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    normalised = torch.from_numpy((images.numpy() - MEAN) / STD)
    torch.testing.assert_close(
        teacher.images(Modality.RGB, images), tower(Modality.RGB, normalised).detach()
    )
    before = fingerprint(str(folder))
    tower.heads[0][1].bias.data += 1
    scene_tower.save(folder, tower, {})
    assert fingerprint(str(folder)) != before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no config.json in"),
        ("{", "is no JSON of a teacher"),
        ("[]", "is no JSON of a teacher"),
        ('{"model_type": "bert"}', "holds 'bert': a teacher is"),
        ("{}", "holds 'nothing known': a teacher is"),
    ],
)
def test_a_folder_of_another_kind_is_told_in_a_line(content, words, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        open_image_teacher(str(tmp_path))
    assert "\n" not in str(error.value)
