"""Corruptions: they keep the shape, depend on the seed alone, and do what their name says."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.evaluation.corruptions import CORRUPTIONS, generator
from any2seg_ros.types import Events, Modality

NAMES = [(modality, name) for modality, table in CORRUPTIONS.items() for name in table]


def sample(modality: Modality):
    rng = np.random.default_rng(5)
    if modality is Modality.RGB:
        return rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    if modality is Modality.DEPTH:
        return rng.integers(500, 40000, (60, 80)).astype(np.uint16)
    if modality is Modality.LIDAR:
        points = rng.normal(0, 15, (4000, 4)).astype(np.float32)
        points[:, 3] = rng.random(4000)
        return points
    t = np.sort(rng.integers(0, 10_000_000, 4000))
    x, y = rng.integers(0, 80, 4000).astype(np.uint16), rng.integers(0, 60, 4000).astype(np.uint16)
    return Events(t, x, y, rng.random(4000) < 0.5, 80, 60)


def arrays(data) -> list[np.ndarray]:
    return [data.t, data.x, data.y, data.p] if isinstance(data, Events) else [data]


@pytest.mark.parametrize(("modality", "name"), NAMES)
def test_a_corruption_changes_a_measurement_in_a_way_that_depends_on_the_seed_alone(modality, name):
    data, corrupt = sample(modality), CORRUPTIONS[modality][name]
    first, again = corrupt(data, generator(1, 7)), corrupt(data, generator(1, 7))
    for before, one, two in zip(arrays(data), arrays(first), arrays(again), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == before.dtype and one.shape[1:] == before.shape[1:]
    changed = [
        a.shape != b.shape or (a != b).any()
        for a, b in zip(arrays(data), arrays(first), strict=True)
    ]
    assert any(changed)
    for before, fresh in zip(arrays(data), arrays(sample(modality)), strict=True):
        np.testing.assert_array_equal(before, fresh)


def test_corrupted_events_stay_in_order_and_on_the_sensor():
    for name, corrupt in CORRUPTIONS[Modality.EVENT].items():
        events = corrupt(sample(Modality.EVENT), generator(0))
        assert (np.diff(events.t) >= 0).all(), name
        assert events.x.max() < events.width and events.y.max() < events.height


def test_night_is_dark_overexposure_bright_and_fog_is_thickest_at_the_horizon():
    image = np.full((60, 80, 3), 90, np.uint8)
    table = CORRUPTIONS[Modality.RGB]
    assert table["night"](image, generator(0)).mean() < 30
    assert table["overexposure"](image, generator(0)).mean() == 255
    rows = table["fog"](image, generator(0)).astype(int).mean(axis=(1, 2))
    assert rows[30] > rows[45] > rows[59] >= 90


def test_float_depth_stays_metres_and_keeps_its_holes():
    depth = np.array([[np.nan, 0.0, 4.0, 30.0]], np.float32)
    short = CORRUPTIONS[Modality.DEPTH]["short"](depth, generator(0))
    assert short[0, 2] == 4.0 and short[0, 3] == 0.0
    noisy_depth = CORRUPTIONS[Modality.DEPTH]["noise"](depth, generator(0))
    assert noisy_depth[0, 1] == 0.0 and noisy_depth[0, 2] == pytest.approx(4.0, abs=0.3)


def test_jitter_turns_points_but_keeps_their_range():
    cloud = sample(Modality.LIDAR)
    shaken = CORRUPTIONS[Modality.LIDAR]["jitter"](cloud, generator(0))
    before, after = (np.linalg.norm(c[:, :3], axis=1) for c in (cloud, shaken))
    np.testing.assert_allclose(before, after, rtol=1e-4)
