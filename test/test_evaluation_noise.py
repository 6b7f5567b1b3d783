"""Noise on modality images: NM and RMM are those of the robustness benchmark, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from any2seg_ros.evaluation.noise import (
    RGB_MEAN,
    RGB_STD,
    clipped_noise,
    nm,
    rmm,
    torch_generator,
)
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality
LEVELS = ("low", "mid", "high")


def images(seed: int = 3, size: tuple[int, int] = (40, 56)) -> dict[Modality, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {m: rng.random((3, *size)).astype(np.float32) for m in Modality}
    made[RGB] = (made[RGB] - RGB_MEAN) / RGB_STD
    return made


def flat_index(drawn: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    index = np.zeros(len(drawn[0]), np.int64)
    for axis, size in zip(drawn, shape, strict=True):
        index = index * size + axis
    return index


@pytest.mark.parametrize("level", LEVELS)
def test_nm_is_the_benchmark_s_definition_on_the_same_arrays_and_seed(level):
    # By hand, with torch's global generator, as the benchmark draws: a batch of one image; RGB,
    # depth, event, LiDAR get salt and pepper, then RGB, depth, LiDAR their Gaussian noise.
    density = {"low": 0.05, "mid": 0.1, "high": 0.2}[level]
    sigma = {"low": 0.1, "mid": 0.2, "high": 0.5}[level]
    given = images()
    shape = (1, 3, 40, 56)
    torch.manual_seed(11)
    expected = {}
    for modality in (RGB, DEPTH, EVENT, LIDAR):
        flat = given[modality].reshape(-1).copy()
        highest, lowest = flat.max(), flat.min()
        for value in (highest, lowest):
            count = int(np.ceil(density * flat.size * 0.5))
            drawn = [torch.randint(0, size, (count,)).numpy() for size in shape]
            flat[flat_index(drawn, shape)] = value
        expected[modality] = flat.reshape(shape)
    for modality in (RGB, DEPTH, LIDAR):
        expected[modality] = expected[modality] + (torch.randn(shape) * sigma + 0.0).numpy()
    found = nm(given, level, torch.Generator().manual_seed(11))
    for modality in Modality:
        np.testing.assert_array_equal(found[modality], expected[modality][0])


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_rmm_is_the_benchmark_s_definition_on_the_same_arrays_and_seed(fraction):
    given = images()
    torch.manual_seed(12)
    expected = {}
    for modality in (RGB, DEPTH, EVENT, LIDAR):
        draw = torch.rand((1, 3, 40, 56)).numpy()[0]
        expected[modality] = np.where(draw < np.float32(fraction), 0, given[modality])
    found = rmm(given, fraction, torch.Generator().manual_seed(12))
    for modality in Modality:
        np.testing.assert_array_equal(found[modality], expected[modality])
        zeros = (found[modality] == 0).mean()
        assert zeros == pytest.approx(fraction, abs=0.03)


def test_nm_strikes_single_elements_with_the_image_s_own_extremes_and_clips_nothing():
    given = images()
    noisy = nm(given, "high", torch_generator(0))
    events = noisy[EVENT]
    changed = events != given[EVENT]
    assert set(np.unique(events[changed])) <= {given[EVENT].max(), given[EVENT].min()}
    assert (changed[0] != changed[1]).any()
    assert changed.mean() == pytest.approx(1 - np.exp(-0.2), abs=0.02)  # drawn with replacement
    assert noisy[RGB].max() > given[RGB].max() + 0.5
    assert noisy[DEPTH].min() < -0.5


def test_noise_leaves_what_it_is_given_and_depends_on_the_seed_and_key_alone():
    given, untouched = images(), images()
    for make in (lambda g: nm(given, "mid", g), lambda g: rmm(given, 0.5, g)):
        first, again, other = (make(torch_generator(*key)) for key in ((1, 7), (1, 7), (1, 8)))
        for modality in Modality:
            np.testing.assert_array_equal(first[modality], again[modality])
            assert (first[modality] != other[modality]).any()
            np.testing.assert_array_equal(given[modality], untouched[modality])
            assert first[modality].dtype == np.float32


def test_clipped_noise_has_its_density_and_leaves_events_without_gaussian_noise():
    image = np.full((3, 100, 200), 0.5, np.float32)
    for level, density in {"low": 0.05, "mid": 0.1, "high": 0.2}.items():
        struck = clipped_noise(image, EVENT, level, np.random.default_rng(0)) != 0.5
        assert struck.mean() == pytest.approx(density, abs=0.01)
        assert (struck[0] == struck[1]).all()
    spread = clipped_noise(image, DEPTH, "low", np.random.default_rng(0))
    inside = spread[(spread > 0.05) & (spread < 0.95)]
    assert inside.std() == pytest.approx(0.1, abs=0.01)


def test_clipped_noise_is_added_to_rgb_before_the_normalisation():
    image = np.broadcast_to((np.float32(0.5) - RGB_MEAN) / RGB_STD, (3, 100, 200)).copy()
    noisy = clipped_noise(image, RGB, "low", np.random.default_rng(0))
    plain = noisy * RGB_STD + RGB_MEAN
    assert plain.min() >= -1e-5 and plain.max() <= 1 + 1e-5
    inside = plain[(plain > 0.05) & (plain < 0.95)]
    assert inside.std() == pytest.approx(0.1, abs=0.01)
