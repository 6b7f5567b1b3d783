"""Augmentation: images and label move together, a corrupted sensor is corrupted alone."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.training.augmentation import AugmentationConfig, augment
from any2seg_ros.training.cached_dataset import CachedFrame
from any2seg_ros.types import Modality

CALM = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0)


def augmented(images, label, config, seed):
    frame = CachedFrame(images, np.ones(len(images), bool), label)
    view = augment(frame, config, np.random.default_rng(seed))
    return view.images, view.label


def test_without_augmentation_nothing_changes():
    images = np.random.default_rng(0).random((4, 3, 8, 12), dtype=np.float32)
    label = np.arange(24 * 16, dtype=np.uint8).reshape(16, 24)
    changed, same = augmented(images, label, CALM, 1)
    np.testing.assert_allclose(changed, np.clip(images, -10, 10), atol=1e-5)
    assert np.array_equal(same, label)


def test_flip_and_crop_move_images_and_label_together():
    """The label's value is painted in every modality: it must still be there afterwards."""
    label = np.kron(np.arange(24, dtype=np.uint8).reshape(4, 6), np.ones((16, 16), np.uint8))
    images = np.repeat((label[::2, ::2] / 30)[None, None], 3, 1).repeat(4, 0)
    config = AugmentationConfig((0, 0), 1, 2, 0, 0, 0, 0, 0)
    changed, moved = augmented(images, label, config, 3)
    assert not np.array_equal(moved, label)
    small = moved[::2, ::2]
    for modality in (Modality.DEPTH, Modality.LIDAR, Modality.EVENT):
        off = np.abs(changed[modality, 0] * 30 - small)
        assert np.median(off) < 0.01 and (off < 0.5).mean() > 0.8


@pytest.mark.parametrize("crop", [(0, 0), (36, 24), (40, 20)])
def test_a_crop_has_its_size_and_the_label_twice_that(crop):
    label = np.kron(np.arange(24, dtype=np.uint8).reshape(4, 6), np.ones((16, 16), np.uint8))
    images = np.repeat((label[::2, ::2] / 30)[None, None], 3, 1).repeat(4, 0)
    config = AugmentationConfig(crop, 0.5, 1.5, 0, 0, 0, 0, 0)
    width, height = config.size((48, 32))
    for seed in range(20):
        changed, moved = augmented(images, label, config, seed)
        assert changed.shape == (4, 3, height, width) and moved.shape == (2 * height, 2 * width)
        off = np.abs(changed[Modality.LIDAR, 0] * 30 - moved[::2, ::2])
        assert np.median(off) < 0.01 and (off < 0.5).mean() > 0.8


def test_a_corrupted_sensor_leaves_the_others_alone():
    images = np.random.default_rng(0).random((4, 3, 16, 24), dtype=np.float32)
    label = np.zeros((32, 48), np.uint8)
    config = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 1, 0)
    changed, _ = augmented(images, label, config, 2)
    assert not np.allclose(changed[Modality.LIDAR], images[Modality.LIDAR])
    for modality in (Modality.RGB, Modality.DEPTH, Modality.EVENT):
        np.testing.assert_allclose(changed[modality], images[modality], atol=1e-5)


def test_every_corruption_gives_numbers():
    images = np.random.default_rng(0).random((4, 3, 16, 24), dtype=np.float32)
    config = AugmentationConfig((0, 0), 0.5, 1.5, 0.4, 1, 1, 1, 1)
    for seed in range(30):
        changed, _ = augmented(images, np.zeros((32, 48), np.uint8), config, seed)
        assert changed.dtype == np.float32 and changed.shape == images.shape
        assert np.isfinite(changed).all()


def test_a_sensor_that_is_not_there_stays_zero():
    images = np.zeros((4, 3, 16, 24), np.float32)
    frame = CachedFrame(images, np.array([False, False, True, False]), np.zeros((32, 48), np.uint8))
    config = AugmentationConfig((0, 0), 0.5, 1.5, 0.4, 1, 1, 1, 1, 1.5, 1)
    for seed in range(20):
        view = augment(frame, config, np.random.default_rng(seed))
        assert view.present.tolist() == [False, False, True, False]
        assert not view.images[[Modality.RGB, Modality.DEPTH, Modality.EVENT]].any()


def test_trust_moves_with_the_label():
    label = np.kron(np.arange(24, dtype=np.uint8).reshape(4, 6), np.ones((16, 16), np.uint8))
    images = np.zeros((4, 3, 32, 48), np.float32)
    frame = CachedFrame(images, np.ones(4, bool), label, weight=label * 10)
    config = AugmentationConfig((24, 16), 0.5, 1.5, 0, 0, 0, 0, 0)
    for seed in range(10):
        view = augment(frame, config, np.random.default_rng(seed))
        assert np.array_equal(view.weight, view.label * 10)


def test_a_picture_is_seen_finer_than_the_modality_image():
    """A crop shows what the picture has, not what the small image has left of it."""
    fine = np.zeros((64, 96, 3), np.uint8)
    fine[::2] = 255
    images = np.zeros((4, 3, 32, 48), np.float32)
    frame = CachedFrame(images, np.ones(4, bool), np.zeros((64, 96), np.uint8), picture=fine)
    config = AugmentationConfig((24, 16), 0, 2, 0, 0, 0, 0, 0)
    spreads = [
        np.ptp(augment(frame, config, np.random.default_rng(seed)).images[Modality.RGB])
        for seed in range(20)
    ]
    assert max(spreads) > 3
