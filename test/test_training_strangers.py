"""Strangers: a sensor that shows another frame, which only counts beside the camera."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import training_data

from any2seg_ros.datasets import Target, open_source
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.augmentation import AugmentationConfig, augment
from any2seg_ros.training.batches import Batches
from any2seg_ros.training.cached_dataset import open_cached
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.training.strangers import invite
from any2seg_ros.types import Modality

SIZE = (48, 32)
TARGET = Target(SIZE, PreprocessingConfig())
CALM = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0)
ALWAYS = replace(CALM, strangers=1.0)
LOSSES = LossConfig(variants=("full", "random", "single"))


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    root = tmp_path_factory.mktemp("deliver")
    training_data.write(root, "train", 5)
    return open_cached(open_source(root, TARGET, "train"), "x", TARGET, root / "cache")


@pytest.fixture(scope="module")
def images_alone(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for i in range(5):
        label = training_data.picture(np.random.default_rng(i))
        cv2.imwrite(str(root / "images" / f"{i}.png"), np.stack([label * 20] * 3, -1))
        cv2.imwrite(str(root / "labels" / f"{i}.png"), label)
    (root / "labels.yaml").write_text("{0: Building, 6: Road, 9: Cars, 12: Sky}")
    return open_cached(open_source(root, TARGET, "train"), "y", TARGET, root / "cache")


def test_one_sensor_beside_the_camera_shows_another_frame(cached):
    mixture = Mixture([cached], len(DELIVER))
    strangers = set()
    for seed in range(12):
        generator = np.random.default_rng(seed)
        own = augment(cached.frame(0), ALWAYS, generator)
        view, stranger = invite(own, 0, mixture, [ALWAYS], generator)
        changed = [m for m in Modality if not np.array_equal(view.images[m], own.images[m])]
        assert changed in ([stranger], [])  # the frame drawn may be the same one
        if changed:
            others = [cached.images[i][stranger] for i in range(1, 5)]
            assert any(np.allclose(view.images[stranger], o, atol=1e-3) for o in others)
            strangers.add(stranger)
    assert strangers == {Modality.DEPTH, Modality.LIDAR, Modality.EVENT}


def test_an_image_alone_gets_a_sensor_of_another_set(cached, images_alone):
    mixture = Mixture([images_alone, cached], len(DELIVER), [2.0, 2.0])
    batch = Batches(mixture, ALWAYS, LOSSES, 4, SIZE, 0).at(0)
    assert batch.present.sum(1).tolist() == [2, 4, 2, 4]


def test_no_subset_is_a_stranger_alone_and_nothing_teaches_what_it_shows(cached):
    batches = Batches(Mixture([cached], len(DELIVER)), ALWAYS, LOSSES, 4, SIZE, 0)
    for step in range(10):
        batch = batches.at(step)
        random, single = batch.subsets[1:]
        assert not batch.taught.any()
        assert (single.sum(1) == 1).all()
        clean = Batches(Mixture([cached], len(DELIVER)), CALM, LOSSES, 4, SIZE, 0).at(step)
        assert clean.taught.all()
        for i in range(4):
            swapped = [m for m in Modality if not batch.images[i, m].equal(clean.images[i, m])]
            assert not any(single[i, m] for m in swapped)
            assert random[i, Modality.RGB] or not any(random[i, m] for m in swapped)


def test_no_stranger_without_the_camera(cached):
    mixture = Mixture([cached], len(DELIVER))
    own = augment(cached.frame(0), ALWAYS, np.random.default_rng(0))
    blind = replace(own, present=own.present & (np.arange(4) > 0))
    view, stranger = invite(blind, 0, mixture, [ALWAYS], np.random.default_rng(0))
    assert stranger is None and view is blind
