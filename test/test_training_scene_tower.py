"""The tower of a scene teacher: unit vectors, a whole folder, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from any2seg_ros.training import scene_tower
from any2seg_ros.training.scene_tower import CONFIG, WEIGHTS, SceneTower
from any2seg_ros.types import Modality


@pytest.fixture(scope="module")
def tower() -> SceneTower:
    torch.manual_seed(0)
    return SceneTower((32, 16)).eval()


@pytest.fixture
def folder(tower, tmp_path) -> Path:
    scene_tower.save(tmp_path / "teacher", tower, {"taxonomy": "deliver"})
    return tmp_path / "teacher"


def test_a_folder_holds_the_tower_that_was_written(tower, folder):
    words = json.loads((folder / CONFIG).read_text())
    assert words["image_size"] == [32, 16] and words["taxonomy"] == "deliver"
    assert not list(folder.parent.glob(".*"))
    again = scene_tower.read(folder)
    images = torch.rand(3, 3, 40, 80)
    for modality in Modality:
        vectors = again(modality, images)
        assert torch.equal(vectors, tower(modality, images))
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_a_point_in_an_empty_image_is_kept_as_it_is(tower):
    fine = torch.zeros(1, 3, 32, 64)
    fine[..., 6, 10] = 0.8
    small = torch.zeros(1, 3, 16, 32)
    small[..., 3, 5] = 0.8
    for modality in (Modality.LIDAR, Modality.EVENT):
        torch.testing.assert_close(tower(modality, fine), tower(modality, small))
    assert not torch.allclose(tower(Modality.DEPTH, fine), tower(Modality.DEPTH, small))


def test_a_teacher_replaces_one_but_nothing_else(tower, folder, tmp_path):
    (folder / "old").touch()
    scene_tower.save(folder, tower, {})
    assert not (folder / "old").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").touch()
    with pytest.raises(ValueError, match="holds something else than a scene teacher"):
        scene_tower.save(tmp_path / "other", tower, {})
    assert (tmp_path / "other" / "precious").is_file()


def test_weights_that_are_missing_cut_off_or_others_are_told_in_a_line(folder, tower):
    path = folder / WEIGHTS
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no weights at"):
        scene_tower.read(folder)
    path.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="is truncated") as told:
        scene_tower.read(folder)
    assert "\n" not in str(told.value)
    scene_tower.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="is of another version: .* tensors differ"):
        scene_tower.read(folder)
    (folder / CONFIG).write_text(json.dumps({"kind": scene_tower.KIND}))
    with pytest.raises(ValueError, match="has no image_size"):
        scene_tower.read(folder)
    (folder / CONFIG).write_text("{}")
    with pytest.raises(ValueError, match="is no scene teacher"):
        scene_tower.read(folder)
