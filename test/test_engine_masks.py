"""Masks are the upsampled logits' argmax and softmax, whatever is left out on the way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from any2seg_ros.engine.masks import group_confidence, masks
from any2seg_ros.engine.torch_engine import masks_on_device


def upsampled(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in logits])


def smooth(shape: tuple[int, int, int]) -> np.ndarray:
    """Logits with large regions, as of a street: most classes are far behind in most rows."""
    noise = np.random.default_rng(1).standard_normal(shape).astype("f4")
    rows = np.linspace(-1, 1, shape[1], dtype="f4")[None, :, None]
    centres = np.linspace(-1, 1, shape[0], dtype="f4")[:, None, None]
    return 2 * noise - 30 * np.abs(rows - centres)


@pytest.mark.parametrize("size", [(64, 36), (100, 50), (37, 29), (8, 5), (16, 9), (96, 27)])
@pytest.mark.parametrize("shape", [(25, 9, 16), (25, 1, 1), (5, 1, 4), (5, 4, 1), (3, 2, 2)])
def test_labels_are_the_argmax_of_the_upsampled_logits(size, shape):
    noise = 4 * np.random.default_rng(0).standard_normal(shape).astype("f4")
    for logits in (noise, smooth(shape)):
        labels, _ = masks(logits, size)
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, upsampled(logits, size).argmax(0))


def test_confidence_is_the_largest_softmax_at_twice_the_size_of_the_logits():
    logits = 4 * np.random.default_rng(1).standard_normal((25, 9, 16)).astype("f4")
    _, confidence = masks(logits, (64, 36), 1.7)
    halves = torch.from_numpy(upsampled(logits, (32, 18)))
    softmax = torch.softmax(halves / 1.7, 0).amax(0).numpy()
    expected = cv2.resize(softmax, (64, 36), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(confidence, expected, atol=1e-5)


def test_confidence_of_a_group_is_the_sum_of_its_classes():
    logits = 4 * np.random.default_rng(1).standard_normal((5, 9, 16)).astype("f4")
    members = np.array([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]], bool)
    chosen = np.random.default_rng(2).integers(0, 4, (36, 64)).astype(np.uint8)  # 3: no group
    confidence = group_confidence(logits, members, chosen, 1.7)
    softmax = torch.softmax(torch.from_numpy(upsampled(logits, (32, 18))) / 1.7, 0).numpy()
    sums = upsampled(np.stack([softmax[group].sum(0) for group in members]), (64, 36))
    expected = np.choose(chosen, [*sums, np.zeros((36, 64), "f4")])
    np.testing.assert_allclose(confidence, expected, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 36), (100, 50), (37, 29), (8, 5), (16, 9), (96, 27)])
def test_masks_made_on_a_device_are_the_same(size):
    logits = smooth((25, 9, 16))
    labels, confidence = masks_on_device(torch.from_numpy(logits), size, 1.7)
    expected, likely = masks(logits, size, 1.7)
    assert labels.dtype == np.uint8 and confidence.dtype == np.float32
    assert (labels == expected).mean() > 0.999
    np.testing.assert_allclose(confidence, likely, atol=1e-4)
