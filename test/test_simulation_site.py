"""A street under construction: its dimensions, and what builders add to it."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.mesh import Appearance, box
from any2seg_ros.simulation.site import TEST_SETTINGS, Site, TownSettings


def site(seed: int = 0, settings: TownSettings | None = None) -> Site:
    return Site(np.random.default_rng(seed), settings or TownSettings(), 3.0)


@pytest.mark.parametrize("settings", [TownSettings(), TEST_SETTINGS], ids=["train", "test"])
def test_dimensions_stay_within_the_settings(settings: TownSettings) -> None:
    for seed in range(20):
        made = site(seed, settings)
        assert settings.lane_width[0] <= made.lane_width <= settings.lane_width[1]
        assert made.lanes in settings.lanes
        assert made.edge(1) in (made.half, made.half + 2.1)
        assert made.end >= settings.speed[0] * 3.0


def test_test_towns_range_further_than_those_of_train() -> None:
    train = TownSettings()
    for name in ("lane_width", "sidewalk", "spacing", "traffic", "walkers", "hue", "speed"):
        (low, high), (lower, higher) = getattr(train, name), getattr(TEST_SETTINGS, name)
        assert lower < low and higher > high


def test_a_crossing_and_a_river_are_found_where_they_are() -> None:
    made = next(s for s in map(site, range(50)) if s.river and s.crossings)
    assert made.at_crossing(made.crossings[0] + 4.0, 5.0)
    assert not made.at_crossing(-1000.0, 5.0)
    begin, end = made.river
    assert made.over_river((begin + end) / 2) and not made.over_river(end + 5.0)


def test_a_mesh_is_added_beside_the_road() -> None:
    made = site()
    made.add(box((1, 1, 1), (0, 0, 0.5), Appearance(0, 0)), 20.0, 4.0, 0.15)
    middle = made.parts[-1].corners.mean((0, 1))
    assert np.allclose(middle, made.road.world(20.0, 4.0, 0.65), atol=0.1)


def test_people_walk_along_or_across_the_street() -> None:
    made = site()
    for _ in range(40):
        made.walker(10.0, 5.0)
    speeds = [abs(mover.speed) for mover in made.movers]
    assert 0 in speeds and max(speeds) <= 1.8
    made.walker(10.0, 0.0, across=-1.2)
    mover = made.movers[-1]
    assert (mover.speed, mover.across, mover.turn) == (0.0, -1.2, pytest.approx(-np.pi / 2))
