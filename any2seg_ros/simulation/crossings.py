"""What crosses the road: intersections, overpasses, gantries, level crossings."""

from __future__ import annotations

import numpy as np

from any2seg_ros.simulation import objects
from any2seg_ros.simulation.materials import M
from any2seg_ros.simulation.mesh import Appearance, Mesh, box, column, join
from any2seg_ros.simulation.objects import CLASS, surface
from any2seg_ros.simulation.site import Mover, Site


def crossing(site: Site, s: float) -> None:
    """An intersection centred at s: zebra crossings, traffic lights, and a side road each way."""
    rng, white = site.rng, surface("RoadLine", "marking")
    for side in (-1, 1):
        _arm(site, s, side)
    for zebra in (s - 7.6, s + 4.6):
        for d in np.arange(-site.half + 0.4, site.half - 0.3, 1.0):
            h = 0.02 * (1 - abs(d) / site.half) + 0.014
            site.parts.append(site.road.profile(zebra, zebra + 3.0, [(d, h), (d + 0.5, h)], white))
        for _ in range(rng.integers(1, 4)):
            d = rng.uniform(-site.half, site.half)
            site.walker(
                zebra + rng.uniform(0.4, 2.6),
                d,
                rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.6),
            )
    site.parts.append(site.road.patch(s - 8.8, s - 8.3, -site.half + 0.2, -0.2, 0.035, white))
    site.parts.append(site.road.patch(s + 8.3, s + 8.8, 0.2, site.half - 0.2, 0.035, white))
    for side, at, turn in (
        (-1, s - 8.4, 0.0),
        (1, s + 8.4, np.pi),
        (1, s - 8.6, 0.0),
        (-1, s + 8.6, np.pi),
    ):
        # Arms reach along -y: over the road on the right-hand side, mirrored on the left.
        light = objects.traffic_light(rng)
        if (side < 0) == (turn == 0.0):
            light = _mirrored(light)
        site.add(light, at, side * (site.edge(side) + 0.5), 0.14, turn)
    if rng.uniform() < 0.6:
        site.add(objects.traffic_sign(rng), s - 9.6, -(site.edge(-1) + 0.8), 0.14)


def _arm(site: Site, s: float, side: int) -> None:
    """The side road on one side of an intersection, with its sidewalks."""
    rng, e = site.rng, site.edge(side)
    asphalt = site.asphalt
    far = 75.0
    site.parts.append(site.road.patch(s - 3.4, s + 3.4, side * e, side * far, 0.0, asphalt))
    pave = surface("SideWalk", "slabs")
    for a, b in ((s - 5.2, s - 3.4), (s + 3.4, s + 5.2)):
        site.parts.append(site.road.patch(a, b, side * e, side * far, 0.15, pave))
    white = surface("RoadLine", "marking")
    for d in np.arange(e + 3.5, 60.0, 7.0):
        site.parts.append(
            site.road.patch(s - 0.07, s + 0.07, side * d, side * (d + 3.5), 0.02, white)
        )
    for k in np.arange(-3.0, 3.0, 1.0):
        site.parts.append(
            site.road.patch(s + k, s + k + 0.5, side * (e + 0.3), side * (e + 2.6), 0.022, white)
        )
    site.add(
        objects.building(rng, 16.0, 10.0, int(rng.integers(2, 5))),
        s,
        side * far,
        0.0,
        -side * np.pi / 2,
    )
    for lane, away in ((1.7, 1), (-1.7, -1)):
        if rng.uniform() < 0.75:
            kind = rng.choice(4, p=[0.5, 0.2, 0.2, 0.1])
            mesh = [objects.car, objects.bus, objects.truck, objects.motorcycle][kind](rng)
            half = float(np.ptp(mesh.corners[..., 0])) / 2
            d = e + half + rng.uniform(3.0, 7.0)
            turn = side * away * np.pi / 2
            speed = 0.0 if away < 0 else rng.uniform(2.0, 7.0)
            site.movers.append(
                Mover(mesh, s - side * lane, side * d, 0.0, side * away * speed, turn)
            )


def _mirrored(mesh: Mesh) -> Mesh:
    """Mirrored left to right."""
    mesh.corners[..., 1] *= -1
    return mesh


def _overpass(site: Site, s: float) -> None:
    rng = site.rng
    appearance = surface(
        "Bridge", "concrete", tuple(rng.uniform(0.75, 1.1) * np.array([1.0, 0.98, 0.94]))
    )
    stone = surface("Bridge", "stones")
    wide, clear = rng.uniform(5.0, 9.0), rng.uniform(4.8, 6.2)
    reach = site.half + 60.0
    deck = box((wide, 2 * reach, 1.1), (0, 0, clear + 0.55), appearance)
    rails = [
        box((0.3, 2 * reach, 1.0), (x, 0, clear + 1.6), appearance)
        for x in (-wide / 2 + 0.15, wide / 2 - 0.15)
    ]
    pillars = []
    for side in (-1, 1):
        d = side * (site.edge(side) + site.sidewalk + 0.9)
        pillars.append(box((wide * 0.8, 1.4, clear + 4), (0, d, clear / 2 - 2), stone))
        pillars += [
            column(0.6, clear + 4, appearance, (0, d + side * k * 14.0, -4), 10) for k in (1, 2, 3)
        ]
    site.add(join([deck, *rails, *pillars]), s, 0.0)


def _gantry(site: Site, s: float) -> None:
    span = site.edge(-1) + site.edge(1) + 1.6
    site.add(objects.gantry(site.rng, span), s, (site.edge(1) - site.edge(-1)) / 2)


def _level_crossing(site: Site, s: float) -> None:
    steel, bed = (
        surface("RailTrack", "steel", (0.65, 0.55, 0.48)),
        surface("RailTrack", "ballast"),
    )
    plate = surface("RailTrack", "slabs", (0.6, 0.55, 0.5))
    reach = 60.0
    for side in (-1, 1):
        e = site.edge(side)
        site.parts.append(site.road.patch(s - 1.6, s + 1.6, side * e, side * reach, 0.2, bed))
    site.parts.append(site.road.patch(s - 1.5, s + 1.5, -site.edge(-1), site.edge(1), 0.03, plate))
    for k in (-0.75, 0.75):
        site.parts.append(site.road.patch(s + k - 0.07, s + k + 0.07, -reach, reach, 0.24, steel))
        site.parts.append(
            site.road.patch(s + k - 0.07, s + k + 0.07, -site.edge(-1), site.edge(1), 0.05, steel)
        )
    for side, turn in ((-1, 0.0), (1, np.pi)):
        arm = site.half * 0.9
        barrier = box((0.12, arm, 0.14), (0, arm / 2, 3.0), surface("Dynamic", "stripes"))
        post = column(0.12, 3.2, surface("Pole", "plain", (0.7, 0.7, 0.7)), sides=8)
        lamp = box(
            (0.2, 0.5, 0.5),
            (-0.15, 0, 2.6),
            surface("TrafficLight", "plain", (0.06, 0.05, 0.05)),
        )
        red = Appearance(CLASS["TrafficLight"], M["plain"], (1.0, 0.05, 0.03), 2.0)
        lit = box((0.05, 0.2, 0.2), (-0.27, 0, 2.6), red)
        site.add(
            join([barrier, post, lamp, lit]),
            s - 3.2 * (1 if turn == 0 else -1),
            side * (site.edge(side) + 0.3),
            0.0,
            turn,
        )


_FEATURES = (_overpass, _gantry, _level_crossing, _level_crossing)
"""One is drawn for each place; level crossings twice as often."""


def features(site: Site) -> None:
    """Places overpasses, gantries and level crossings between the intersections."""
    rng = site.rng
    s = rng.uniform(14.0, 40.0)
    while s < site.end - 10:
        if not site.at_crossing(s, 16.0) and not site.over_river(s):
            _FEATURES[rng.choice(len(_FEATURES))](site, s)
        s += rng.uniform(28.0, 70.0)
