"""Intersections, and what crosses the road above it."""

from __future__ import annotations

import numpy as np

from any2seg_ros.simulation.crossings import _gantry, _level_crossing, _overpass, crossing, features
from any2seg_ros.simulation.objects import CLASS
from any2seg_ros.simulation.site import Site, TownSettings

CLEARANCE = 4.5


def site(seed: int) -> Site:
    return Site(np.random.default_rng(seed), TownSettings(bend=0.0, slope=0.0), 8.0)


def above_the_lanes(made: Site) -> np.ndarray:
    """Lowest height of every triangle that reaches over the lanes, in metres."""
    corners = np.concatenate([part.corners for part in made.parts])
    low, high = corners[..., 1].min(1), corners[..., 1].max(1)
    return corners[(low < made.half) & (high > -made.half), :, 2].min(1)


def labels(made: Site) -> set[float]:
    return {label for part in made.parts for label in part.label.tolist()}


def test_an_intersection_has_zebras_lights_and_people_who_cross() -> None:
    made = site(0)
    crossing(made, 30.0)
    assert {CLASS["RoadLine"], CLASS["TrafficLight"], CLASS["SideWalk"]} <= labels(made)
    crossers = [mover for mover in made.movers if mover.across and mover.h == 0]
    assert crossers


def test_traffic_passes_below_overpasses_and_gantries() -> None:
    for build, name in ((_overpass, "Bridge"), (_gantry, "TrafficSign")):
        for seed in range(6):
            made = site(seed)
            build(made, 30.0)
            assert CLASS[name] in labels(made)
            assert above_the_lanes(made).min() > CLEARANCE


def test_rails_of_a_level_crossing_are_flush_with_the_road() -> None:
    made = site(1)
    _level_crossing(made, 30.0)
    rails = np.concatenate(
        [part.corners[part.label == CLASS["RailTrack"]].reshape(-1, 3) for part in made.parts]
    )
    assert rails[np.abs(rails[:, 1]) < made.half - 4, 2].max(initial=0.0) < 0.3


def test_features_keep_away_from_intersections_and_bridges() -> None:
    for seed in range(8):
        made = site(seed)
        features(made)
        for part in made.parts:
            middle = float((part.corners[..., 0].min() + part.corners[..., 0].max()) / 2)
            assert not made.at_crossing(middle, 8.0)
