"""Zones beside the sidewalk: houses, parks, water, rail lines, and their fences.

A builder gets the side (1 left, -1 right), the stretch s0 to s1, and the distance d from the centre
line at which the zone begins, in metres.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from any2seg_ros.simulation import objects
from any2seg_ros.simulation.mesh import box, column, join, quads
from any2seg_ros.simulation.objects import surface
from any2seg_ros.simulation.site import Site

DECK = ("houses", "houses", "park", "wall", "water", "water", "rail", "plaza", "yard")
"""The zones of a side, dealt like cards: shuffled again when all are used."""


def zone(site: Site, side: int, s0: float, s1: float, kind: str) -> None:
    """Build a zone of DECK, with the land behind it."""
    d = site.edge(side) + site.sidewalk
    far = "soil" if kind == "plaza" else "grass"
    if s1 - s0 < 8.0:
        kind = "gap"
    _ZONES[kind](site, side, s0, s1, d)
    if kind != "water":
        _ground(site, side, s0, s1, d + 16.0, 110.0, "Terrain", far, 0.1)
    if kind != "houses":
        away = 34.0 if kind == "water" else site.rng.uniform(18, 26)
        _backdrop(site, side, s0, s1, d + away)


def bridge_over_water(site: Site, side: int, s0: float, s1: float) -> None:
    """Build the parapet and the water beside a bridge."""
    d = site.edge(side) + site.sidewalk
    appearance = surface("Bridge", "concrete", (0.85, 0.82, 0.76))
    stone = surface("Bridge", "stones")
    site.parts.append(
        site.road.bar(
            s0, s1, side * (d + 0.15), -1.0, 1.0, 0.35, appearance if site.lanes == 1 else stone
        )
    )
    site.parts.append(site.road.bar(s0, s1, side * (d + 0.15), 1.0, 1.12, 0.5, appearance))
    _lake(site, side, s0, s1, d, 80.0)
    _backdrop(site, side, s0, s1, 82.0)


def _houses(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    setback = float(rng.choice([0.0, 0.0, 2.5, 5.0]))
    if setback:
        name, material = [("Terrain", "grass"), ("Ground", "cobbles")][rng.integers(2)]
        _ground(site, side, s0, s1, d, d + setback, name, material)
        if rng.uniform() < 0.5:
            _fence(site, side, s0, s1, d + 0.15)
        elif name == "Terrain":
            for s in np.arange(s0 + 1.5, s1 - 1, 3.1):
                site.add(objects.hedge(rng, 2.6), s, side * (d + 0.6), 0.15)
    _ground(site, side, s0, s1, d + setback, d + 16.0, "Ground", "soil")
    _row(site, side, s0, s1, d + setback)


def _park(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    _ground(site, side, s0, s1, d, d + 16.0, "Terrain", "grass")
    if rng.uniform() < 0.5:
        _fence(site, side, s0, s1, d + 0.2)
    elif rng.uniform() < 0.4:
        _guard(site, side, s0, s1, d - site.sidewalk + 0.35)
    for _ in range(int((s1 - s0) / 3.5)):
        s, at = rng.uniform(s0 + 1, s1 - 1), d + rng.uniform(2.5, 15.0)
        maker = objects.tree if rng.uniform() < 0.55 else objects.bush
        site.add(maker(rng), s, side * at, 0.1)
    if rng.uniform() < 0.6:
        site.add(
            objects.other_thing(rng),
            rng.uniform(s0 + 3, s1 - 3),
            side * (d + 3.5),
            0.15,
            -side * np.pi / 2,
        )


def _wall(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    material = str(rng.choice(["stones", "bricks", "concrete"]))
    height = rng.uniform(1.3, 3.2)
    appearance = surface("Wall", material, tuple(rng.uniform(0.85, 1.15, 3)))
    site.parts.append(
        site.road.bar(s0 + 0.3, s1 - 0.3, side * (d + 0.25), 0.0, height, 0.4, appearance)
    )
    cap = surface("Wall", "concrete")
    site.parts.append(
        site.road.bar(s0 + 0.3, s1 - 0.3, side * (d + 0.25), height, height + 0.12, 0.55, cap)
    )
    _ground(site, side, s0, s1, d, d + 16.0, "Terrain", "grass")
    for s in np.arange(s0 + 2, s1 - 2, 5.0):
        site.add(objects.tree(rng), s, side * (d + rng.uniform(3, 9)), 0.1)


def _water(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    bank = surface("Terrain", "grass")
    site.parts.append(
        site.road.profile(
            s0, s1, [(side * d, 0.16), (side * (d + 0.8), 0.1), (side * (d + 2.2), -0.75)], bank
        )
    )
    _lake(site, side, s0, s1, d + 2.0, d + 30.0)
    ends = surface("Wall", "stones")
    for s in (s0, s1):
        site.parts.append(
            site.road.profile(
                s - 0.05, s + 0.05, [(side * (d + 0.9), 0.14), (side * (d + 30), 0.14)], ends
            )
        )
        at, span = np.full(4, s), np.array([d + 0.9, d + 30, d + 30, d + 0.9])
        corners = site.road.world(at, side * span, np.array([-0.9, -0.9, 0.14, 0.14]))
        site.parts.append(
            quads(corners[None], np.array([[[0, 0], [29, 0], [29, 1], [0, 1]]], float), ends)
        )
    _ground(site, side, s0, s1, d + 29.0, 110.0, "Terrain", "grass", 0.1)
    kind = rng.integers(3)
    if kind == 0:
        _guard(site, side, s0, s1, d - 0.25)
    elif kind == 1:
        _fence(site, side, s0, s1, d - 0.2)


def _rail(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    _ground(site, side, s0, s1, d, d + 16.0, "Terrain", "grass")
    ballast, steel = (
        surface("RailTrack", "ballast"),
        surface("RailTrack", "steel", (0.65, 0.55, 0.48)),
    )
    for center in (d + 2.9, d + 7.0)[: rng.integers(1, 3)]:
        bed = [
            (center - 2.0, 0.1),
            (center - 1.5, 0.42),
            (center + 1.5, 0.42),
            (center + 2.0, 0.1),
        ]
        site.parts.append(site.road.profile(s0, s1, [(side * a, b) for a, b in bed], ballast))
        for rail in (center - 0.75, center + 0.75):
            site.parts.append(site.road.bar(s0, s1, side * rail, 0.4, 0.6, 0.1, steel))
        for s in np.arange(s0 + 3, s1, 22.0):
            pole = surface("Pole", "steel")
            site.add(
                join(
                    [
                        column(0.12, 6.0, pole, sides=6),
                        box((0.1, 2.4, 0.1), (0, -side * 1.2, 5.6), pole),
                    ]
                ),
                s,
                side * (center + 2.3),
                0.1,
            )
    kind = rng.integers(3)
    if kind == 0:
        _fence(site, side, s0, s1, d + 0.2)
    elif kind == 1:
        _guard(site, side, s0, s1, d - site.sidewalk + 0.4)


def _plaza(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    _ground(site, side, s0, s1, d, d + 18.0, "Ground", "cobbles", 0.17)
    for _ in range(int((s1 - s0) / 4)):
        s, at = rng.uniform(s0 + 2, s1 - 2), side * (d + rng.uniform(1.2, 9.0))
        maker = [
            objects.other_thing,
            objects.other_thing,
            objects.static_thing,
            objects.dynamic_thing,
            objects.tree,
        ][rng.integers(5)]
        site.add(maker(rng), s, at, 0.17, -side * np.pi / 2 + rng.uniform(-0.4, 0.4))
    for _ in range(3):
        site.walker(rng.uniform(s0 + 1, s1 - 1), side * (d + rng.uniform(0.5, 8.0)))


def _yard(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    _ground(site, side, s0, s1, d, d + 18.0, "Ground", "soil" if rng.uniform() < 0.5 else "cobbles")
    kind = rng.integers(3)
    if kind == 0:
        _guard(site, side, s0, s1, d - site.sidewalk + 0.4)
    elif kind == 1:
        _fence(site, side, s0, s1, d + 0.2)
    for s in np.arange(s0 + 2.5, s1 - 2, 3.2):
        maker = [objects.car, objects.car, objects.truck, objects.dynamic_thing][
            rng.choice(4, p=[0.4, 0.2, 0.15, 0.25])
        ]
        site.add(maker(rng), s, side * (d + 5.5), 0.16, side * np.pi / 2)


def _gap(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    """A strip of grass, where there is no room for a zone."""
    _ground(site, side, s0, s1, d, d + 16.0, "Terrain", "grass")


_ZONES: dict[str, Callable[[Site, int, float, float, float], None]] = {
    "houses": _houses,
    "park": _park,
    "wall": _wall,
    "water": _water,
    "rail": _rail,
    "plaza": _plaza,
    "yard": _yard,
    "gap": _gap,
}


# Parts of zones.


def _row(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    s = s0
    while s1 - s > 5.0:
        width = min(site.rng.uniform(8.0, 16.0), s1 - s)
        if s1 - s - width < 5.0:
            width = s1 - s
        floors = int(site.rng.integers(*site.settings.floors, endpoint=True))
        house = objects.building(site.rng, width - 0.1, site.rng.uniform(9.0, 13.0), floors)
        site.add(house, s + width / 2, side * (d + 0.2), 0.0, -side * np.pi / 2)
        s += width


def _backdrop(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    if site.rng.uniform() < 0.6:
        return _row(site, side, s0, s1, d)
    for s in np.arange(s0 + 2, s1, 4.0):
        site.add(
            objects.tree(site.rng, site.rng.uniform(6, 11)),
            s,
            side * (d + site.rng.uniform(-3, 3)),
            0.1,
        )
    return None


def _ground(
    site: Site,
    side: int,
    s0: float,
    s1: float,
    d0: float,
    d1: float,
    name: str,
    material: str,
    h: float = 0.16,
) -> None:
    appearance = surface(name, material)
    site.parts.append(site.road.profile(s0, s1, [(side * d0, h), (side * d1, h)], appearance))


def _lake(site: Site, side: int, s0: float, s1: float, d0: float, d1: float) -> None:
    appearance = surface("Water", "water")
    site.parts.append(site.road.profile(s0, s1, [(side * d0, -0.7), (side * d1, -0.7)], appearance))


def _fence(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    rng = site.rng
    height = rng.uniform(1.0, 1.7)
    if rng.uniform() < 0.45:
        appearance = surface("Fence", "planks", tuple(rng.uniform(0.7, 1.2, 3)))
        site.parts.append(
            site.road.bar(s0 + 0.2, s1 - 0.2, side * d, 0.3, height, 0.06, appearance)
        )
    else:
        tint = [(0.06, 0.07, 0.07), (0.1, 0.25, 0.15), (0.7, 0.7, 0.68)][rng.integers(3)]
        appearance = surface("Fence", "plain", tint)
        for h in (0.3, height - 0.1):
            site.parts.append(
                site.road.bar(s0 + 0.2, s1 - 0.2, side * d, h, h + 0.07, 0.05, appearance)
            )
        slat = box((0.09, 0.04, height - 0.2), (0, 0, 0.16 + (height - 0.2) / 2), appearance)
        site.parts.append(site.road.row(slat, np.arange(s0 + 0.3, s1 - 0.2, 0.26), side * d))
    post = box((0.1, 0.1, height + 0.1), (0, 0, (height + 0.1) / 2), appearance)
    site.parts.append(site.road.row(post, np.arange(s0 + 0.3, s1 - 0.2, 2.6), side * d, 0.1))


def _guard(site: Site, side: int, s0: float, s1: float, d: float) -> None:
    beam, post = (
        surface("GroundRail", "beam"),
        surface("GroundRail", "steel", (0.7, 0.7, 0.7)),
    )
    a, b = s0 + 0.3, s1 - 0.3
    site.parts.append(site.road.bar(a, b, side * d, 0.5, 0.84, 0.09, beam))
    if site.rng.uniform() < 0.5:
        site.parts.append(site.road.bar(a, b, side * d, 0.2, 0.36, 0.07, beam))
    stake = box((0.12, 0.12, 0.8), (0, side * 0.1, 0.4), post)
    site.parts.append(site.road.row(stake, np.arange(a + 0.5, b, 2.0), side * d))
