"""A teacher is made from tiny data: it learns, its folder opens, its command tells what it does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import training_data
import yaml
from torch.nn import functional as F

from any2seg_ros.configuration import as_yaml
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training import scene_teacher
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.training.cached_dataset import open_cached, relabelled
from any2seg_ros.training.config import OptimizerConfig
from any2seg_ros.training.scene_teacher import (
    Descriptions,
    SceneTeacherConfig,
    contrast,
    described,
    load_config,
    main,
    objective,
    retrieval,
    told,
    train,
)
from any2seg_ros.training.teachers import open_image_teacher
from any2seg_ros.types import Modality

RECIPE = Path(__file__).resolve().parents[1] / "config/training/scene_teacher.yaml"
PLAIN = AugmentationConfig(
    flip=0,
    zoom=1,
    jitter=0,
    rgb_corruption=0,
    depth_corruption=0,
    lidar_corruption=0,
    event_corruption=0,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two frames in each split, one at night, one in fog, of different pictures."""
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "val"):
        training_data.write(root, split, 1, condition="fog")
        training_data.write(root, split, 2, condition="night")
    for path in root.glob("*/night/*/*/000000_*"):
        path.unlink()
    return root


def config(root: Path, folder: Path, **changes) -> SceneTeacherConfig:
    made = SceneTeacherConfig(
        output=str(folder / "teacher"),
        data=str(root),
        cache=str(root / "cache"),
        steps=2,
        batch_size=2,
        image_size=(48, 32),
        seen_size=(48, 32),
        init_from="",
        threads=1,
        augmentation=PLAIN,
        optimizer=OptimizerConfig(lr=1e-3, encoder_lr_mult=0.3, warmup_steps=0, ema_decay=0),
    )
    return replace(made, **changes)


def test_two_steps_change_the_loss_and_write_a_folder_that_opens(root, tmp_path):
    losses = []
    folder = train(config(root, tmp_path), progress=lambda step, loss: losses.append(loss))
    assert len(losses) == 2 and abs(losses[0] - losses[1]) > 1e-3
    words = json.loads((folder / "config.json").read_text())
    assert words["taxonomy"] == "deliver" and words["config"]["data"] == str(root)
    assert words["retrieval"]["descriptions"] == words["retrieval"]["frames"] == 2
    vectors = open_image_teacher(str(folder)).images(Modality.EVENT, torch.rand(2, 3, 20, 30))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_every_sensor_of_two_frames_comes_nearer_to_its_own_description(root, tmp_path):
    quick = OptimizerConfig(lr=3e-3, encoder_lr_mult=0.1, warmup_steps=0, ema_decay=0)
    made = config(root, tmp_path, steps=25, val_split="train", init_from="imagenet")
    folder = train(replace(made, image_size=(96, 64), seen_size=(96, 64), optimizer=quick))
    found = json.loads((folder / "config.json").read_text())["retrieval"]
    assert {m.label: found[m.label][0] for m in Modality} == {m.label: 100 for m in Modality}


def test_it_is_drawn_to_the_description_and_to_the_other_sensors():
    texts = torch.eye(8)[:3]
    scenes = Descriptions(texts, torch.tensor([0, 1, 2, 1]))
    frames, present = torch.tensor([0, 1, 3]), torch.ones(3, 4, dtype=torch.bool)
    present[0, Modality.LIDAR] = False
    own = texts[[0, 1, 1]]
    right = own.expand(4, 3, 8)
    scale = torch.tensor(50.0)
    assert objective(right, present, scenes, frames, scale, 0) < 0.6
    wrong = right.flip(1)
    assert objective(wrong, present, scenes, frames, scale, 0) > 1
    apart = right.clone()
    apart[Modality.RGB] = apart[Modality.RGB].flip(0)
    alone = objective(right, present, scenes, frames, scale, 1.0)
    assert objective(apart, present, scenes, frames, scale, 1.0) > alone
    with pytest.raises(ValueError, match="nothing to tell apart"):
        objective(right, torch.zeros_like(present), scenes, frames, scale, 1.0)


def test_descriptions_that_read_alike_are_as_right():
    vectors = F.normalize(torch.tensor([[1.0, 0], [1, 0], [0, 1]]), dim=1)
    alike = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    fair = contrast(vectors, vectors, torch.tensor(100.0), alike)
    strict = contrast(vectors, vectors, torch.tensor(100.0), torch.eye(3).bool())
    assert float(fair) == pytest.approx(float(strict))  # no gain from telling twins apart
    twisted = torch.stack([vectors[0], vectors[2], vectors[2]])
    assert contrast(twisted, vectors, torch.tensor(100.0), alike) > fair


class Known:
    """A teacher of vectors that are known."""

    def texts(self, texts):
        return F.one_hot(torch.tensor([ord(text) - ord("a") for text in texts]), 8).float()


@dataclass(frozen=True, eq=False)
class Placed:
    """What retrieval looks at of a cached data set."""

    images: np.ndarray
    present: np.ndarray


def test_retrieval_counts_different_descriptions_once():
    scenes = Descriptions.embedded(["a", "b", "a", "c"], Known())
    assert scenes.of.tolist() == [0, 1, 0, 2] and len(scenes.vectors) == 3
    images = np.zeros((4, 4, 3, 2, 2), np.float32)
    images[:, Modality.RGB, 0] = np.array([0, 1, 0, 1])[:, None, None]  # the last one is wrong
    present = np.zeros((4, 4), bool)
    present[:, Modality.RGB] = True

    def tower(modality, images):
        return F.one_hot(images[:, 0, 0, 0].long(), 8).float()

    found = retrieval(tower, Placed(images, present), range(4), scenes)
    assert found["descriptions"] == 3 and found["frames"] == 4
    assert found["rgb"] == [75.0, 100.0] and found["chance"] == [33.3, 100.0]
    assert "lidar" not in found
    assert "rgb 75 / 100 (chance 33.3 / 100)" in told(found)


def test_labels_with_a_map_of_their_own_are_described_by_what_they_stand_for(root, tmp_path):
    source = open_source(root, Target((48, 32), PreprocessingConfig()), "train")
    own = open_cached(source, "own", Target((48, 32), PreprocessingConfig()), tmp_path / "cache")
    values = np.zeros((2, *own.labels.shape[1:]), np.uint8)
    groups = [[DELIVER.id("Sky")], [DELIVER.id("Cars")]]
    mapped = relabelled(
        own, tmp_path / "mapped", groups, own.present, zip(values, values, strict=True)
    )
    assert described(mapped, DELIVER, "{classes}") == ["sky", "sky"]


def test_the_committed_recipe_is_read_and_its_keys_are_printed(tmp_path, capsys):
    assert load_config(RECIPE).output == "runs/scene_teacher"
    assert main(["--keys"]) == 0
    path = tmp_path / "keys.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_config(path) == SceneTeacherConfig()
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "image_teacher" in told and "begins anew" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no recipe at"),
        ("stepz: 1", "unknown key 'stepz': did you mean 'steps'?"),
        ("batch_size: 1", "batch_size is 1, but must be 2 or more"),
        ("scene_prompt: nothing", "losses.scene_prompt {classes}"),
        ("{data: nowhere, output: OUT}", "no data at nowhere"),
        ("output: FULL", "holds something else"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(text, words, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    path = tmp_path / "recipe.yaml"
    if text is not None:
        full, out = str(tmp_path / "full"), str(tmp_path / "out")
        path.write_text(text.replace("FULL", full).replace("OUT", out))
    assert main([str(path)]) == 1
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_the_command_makes_a_teacher_and_says_where(root, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(as_yaml(config(root, tmp_path)))))
    other = tmp_path / "other"
    assert main([str(path), "--output", str(other), "--steps", "1"]) == 0
    error = capsys.readouterr().err
    assert "2 frames with 2 different descriptions" in error and "in percent: rgb" in error
    assert (other / "model.safetensors").is_file() and not (tmp_path / "teacher").exists()


def test_an_interrupted_run_leaves_nothing(root, tmp_path, capsys, monkeypatch):
    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scene_teacher, "objective", pressed)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(as_yaml(config(root, tmp_path)))))
    assert main([str(path)]) == 130
    assert "interrupted, nothing was written" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["recipe.yaml"]
