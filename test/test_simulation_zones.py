"""Zones stay on their side of the street, beyond the sidewalk."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.objects import CLASS
from any2seg_ros.simulation.site import Site, TownSettings
from any2seg_ros.simulation.zones import DECK, bridge_over_water, zone

CONTAINS = {
    "houses": "Building", "park": "Vegetation", "wall": "Wall", "water": "Water",
    "rail": "RailTrack", "plaza": "Ground", "yard": "Ground",
}  # fmt: skip


def site(seed: int) -> Site:
    settings = TownSettings(bend=0.0, slope=0.0)
    return Site(np.random.default_rng(seed), settings, 8.0)


@pytest.mark.parametrize("kind", sorted(set(DECK)))
@pytest.mark.parametrize("side", [-1, 1])
def test_a_zone_has_its_class_and_keeps_off_the_road(kind: str, side: int) -> None:
    made = site(1)
    zone(made, side, 20.0, 45.0, kind)
    labels = np.concatenate([part.label for part in made.parts])
    assert CLASS[CONTAINS[kind]] in labels
    across = side * np.concatenate([part.corners[..., 1].ravel() for part in made.parts])
    assert across.min() > made.edge(side)


def test_where_there_is_no_room_there_is_grass() -> None:
    made = site(2)
    zone(made, 1, 20.0, 25.0, "houses")
    assert CLASS["Terrain"] in np.concatenate([part.label for part in made.parts])


def test_a_bridge_has_a_parapet_and_water_below() -> None:
    made = site(3)
    bridge_over_water(made, -1, 20.0, 40.0)
    water = [part for part in made.parts if CLASS["Water"] in part.label]
    parapet = [part for part in made.parts if CLASS["Bridge"] in part.label]
    assert all(part.corners[..., 2].max() < 0 for part in water)
    assert max(part.corners[..., 2].max() for part in parapet) == pytest.approx(1.12, abs=0.01)


def test_every_zone_of_the_deck_is_known() -> None:
    assert set(DECK) == set(CONTAINS)
