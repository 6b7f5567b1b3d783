"""The intensity of a LiDAR over many clouds: which channel, which scale, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.preprocessing.intensity import IntensityConfig, IntensityScale

POINTS = 3000


def scaled(scale, values):
    values = np.asarray(values).reshape(1, -1)
    out = np.empty(values.shape, np.float32)
    assert scale.choose({"intensity": values}) == "intensity"
    scale.apply(values, out)
    return out[0]


def uniform(low, high, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).uniform(low, high, POINTS).astype(dtype)


@pytest.mark.parametrize(
    ("values", "full"),
    [
        (uniform(0, 1), 1.0),
        (uniform(0, 255), 255.0),
        (uniform(0, 90), 255.0),
        (uniform(0, 255, dtype=np.uint8), 255.0),
        (uniform(0, 255, dtype=np.uint16), 255.0),
        (uniform(0, 65535, dtype=np.uint16), 65535.0),
        (uniform(0, 255, dtype=np.int32), 255.0),
        (np.r_[uniform(0, 255), np.full(20, 4000.0)], 255.0),
        (np.zeros(POINTS, np.uint16), 255.0),
        (np.full(POINTS, np.nan), 1.0),
    ],
)
def test_what_is_one_is_known_from_the_first_cloud(values, full):
    scale = IntensityScale()
    found = scaled(scale, values)
    assert scale.full == full
    np.testing.assert_allclose(found, np.nan_to_num(values / full).clip(0, 1), atol=1e-6)


def test_photons_are_scaled_by_what_ordinary_surfaces_send():
    photons = np.random.default_rng(0).gamma(2, 200, POINTS).astype(np.float32)
    scale = IntensityScale()
    found = scaled(scale, photons)
    assert 1700 < scale.full < 2200
    assert 0.1 < found.mean() < 0.4 and np.mean(found >= 1) < 0.01
    assert abs(np.quantile(found, 0.98) - 0.6) < 0.03


@pytest.mark.parametrize("odd", [1.02, 250.0, 60_000.0, np.inf, np.nan])
def test_a_single_point_changes_nothing(odd):
    values = uniform(0.1, 1)
    plain = scaled(IntensityScale(), values)
    values[7] = odd
    found = scaled(IntensityScale(), values)
    np.testing.assert_array_equal(np.delete(found, 7), np.delete(plain, 7))


@pytest.mark.parametrize("odd", [uniform(0, 255), uniform(0, 5000), np.zeros(POINTS)])
def test_a_single_cloud_moves_nothing(odd):
    scale = IntensityScale()
    for seed in range(20):
        scaled(scale, uniform(0, 1, seed))
    scaled(scale, odd)
    assert scale.full == 1.0
    np.testing.assert_array_equal(scaled(scale, uniform(0, 1)), uniform(0, 1))


def test_photons_that_wander_a_little_keep_their_scale():
    scale = IntensityScale()
    full = set()
    for seed in range(60):
        scaled(scale, uniform(0, 900 + 150 * np.sin(seed / 9), seed))
        full.add(scale.full)
    assert len(full) == 1


def test_a_wrong_first_cloud_is_made_good_by_those_that_follow():
    scale = IntensityScale()
    scaled(scale, uniform(0, 0.9))
    for seed in range(4):
        scaled(scale, uniform(0, 255, seed))
    assert scale.full == 255.0


def test_a_lidar_that_is_at_an_edge_does_not_go_to_and_fro():
    scale, full = IntensityScale(), []
    for seed in range(80):
        scaled(scale, uniform(0, 300 * (1.03 if seed % 2 else 0.98), seed))
        full.append(scale.full)
    assert len(set(full)) == 1


def test_a_given_factor_is_taken():
    scale = IntensityScale(IntensityConfig(scale=0.001))
    np.testing.assert_allclose(scaled(scale, [0, 500, 1000, 3000]), [0, 0.5, 1, 1])


def channels(**values):
    return {name: np.asarray(v, np.float32).reshape(1, -1) for name, v in values.items()}


ALIVE, DEAD = uniform(0, 255), np.zeros(POINTS)


@pytest.mark.parametrize(
    ("given", "wanted", "chosen"),
    [
        ({"intensity": ALIVE, "reflectivity": ALIVE}, "auto", "reflectivity"),
        ({"intensity": ALIVE, "reflectivity": ALIVE}, "intensity", "intensity"),
        ({"intensity": ALIVE, "reflectivity": DEAD}, "auto", "intensity"),
        ({"i": ALIVE}, "auto", "i"),
        ({"intensity": DEAD}, "auto", "intensity"),
        ({"signal": ALIVE, "intensity": ALIVE}, "signal", "signal"),
        ({"intensity": ALIVE}, "signal", "intensity"),
        ({}, "auto", None),
    ],
)
def test_the_calibrated_channel_is_taken_and_the_parameter_overrules(given, wanted, chosen):
    assert IntensityScale(IntensityConfig(wanted)).choose(channels(**given)) == chosen


def test_the_choice_stays_when_the_channel_is_dead_for_a_moment():
    scale = IntensityScale()
    assert scale.choose(channels(intensity=ALIVE, reflectivity=ALIVE)) == "reflectivity"
    assert scale.choose(channels(intensity=ALIVE, reflectivity=DEAD)) == "reflectivity"


def after(count, values, config=None):
    scale = IntensityScale(config or IntensityConfig())
    for _ in range(count):
        scaled(scale, values)
    return scale


def test_a_saturated_channel_is_said_with_what_to_set():
    photons = uniform(0, 3000)
    assert (
        "saturated: 67 % of the points" in after(10, photons, IntensityConfig(scale=0.001)).warning
    )
    assert "lidar.intensity_scale" in after(10, photons, IntensityConfig(scale=0.001)).warning
    assert after(9, photons, IntensityConfig(scale=0.001)).warning == ""
    assert after(20, photons).warning == ""
    assert "saturated" in after(10, np.where(ALIVE > 100, 255, ALIVE).astype(np.uint8)).warning


@pytest.mark.parametrize("value", [0, 255])
def test_a_dead_channel_is_said(value):
    assert "intensity is dead" in after(10, np.full(POINTS, value, np.uint8)).warning


def test_a_cloud_without_the_wanted_field_is_said():
    scale = IntensityScale(IntensityConfig("signal"))
    scale.choose(channels(intensity=ALIVE))
    assert "no field 'signal' (lidar.intensity_field): intensity is used" in scale.warning
    scale = IntensityScale()
    scale.choose({})
    assert "no intensity (none of reflectivity, intensity" in scale.warning
    assert IntensityScale().warning == ""


def test_a_channel_of_absurd_numbers_is_chosen_without_a_warning():
    absurd = np.array([[-3e38, 3e38, 0.0]], np.float32)
    with np.errstate(over="raise"):
        assert IntensityScale().choose({"intensity": absurd}) == "intensity"
        out = np.zeros((1, 3), np.float32)
        IntensityScale().apply(np.array([[1e300, 0.5, 0.2]]), out)
    assert np.isfinite(out).all()
