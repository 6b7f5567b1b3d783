"""Augmentation: images and label move together, a corrupted sensor is corrupted alone."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.training.augmentation import AugmentationConfig, augment
from any2seg_ros.types import Modality

CALM = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0)


def test_without_augmentation_nothing_changes():
    images = np.random.default_rng(0).random((4, 3, 8, 12), dtype=np.float32)
    label = np.arange(24 * 16, dtype=np.uint8).reshape(16, 24)
    changed, same = augment(images, label, CALM, np.random.default_rng(1))
    np.testing.assert_allclose(changed, np.clip(images, -10, 10), atol=1e-5)
    assert np.array_equal(same, label)


def test_flip_and_crop_move_images_and_label_together():
    """The label's value is painted in every modality: it must still be there afterwards."""
    label = np.kron(np.arange(24, dtype=np.uint8).reshape(4, 6), np.ones((16, 16), np.uint8))
    images = np.repeat((label[::2, ::2] / 30)[None, None], 3, 1).repeat(4, 0)
    config = AugmentationConfig((0, 0), 1, 2, 0, 0, 0, 0, 0)
    changed, moved = augment(images, label, config, np.random.default_rng(3))
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
        changed, moved = augment(images, label, config, np.random.default_rng(seed))
        assert changed.shape == (4, 3, height, width) and moved.shape == (2 * height, 2 * width)
        off = np.abs(changed[Modality.LIDAR, 0] * 30 - moved[::2, ::2])
        assert np.median(off) < 0.01 and (off < 0.5).mean() > 0.8


def test_a_corrupted_sensor_leaves_the_others_alone():
    images = np.random.default_rng(0).random((4, 3, 16, 24), dtype=np.float32)
    label = np.zeros((32, 48), np.uint8)
    config = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 1, 0)
    changed, _ = augment(images, label, config, np.random.default_rng(2))
    assert not np.allclose(changed[Modality.LIDAR], images[Modality.LIDAR])
    for modality in (Modality.RGB, Modality.DEPTH, Modality.EVENT):
        np.testing.assert_allclose(changed[modality], images[modality], atol=1e-5)


def test_every_corruption_gives_numbers():
    images = np.random.default_rng(0).random((4, 3, 16, 24), dtype=np.float32)
    config = AugmentationConfig((0, 0), 0.5, 1.5, 0.4, 1, 1, 1, 1)
    for seed in range(30):
        changed, _ = augment(
            images, np.zeros((32, 48), np.uint8), config, np.random.default_rng(seed)
        )
        assert changed.dtype == np.float32 and changed.shape == images.shape
        assert np.isfinite(changed).all()
