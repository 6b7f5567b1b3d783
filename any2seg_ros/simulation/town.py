"""The town generator: road, roadside, traffic and pedestrians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from any2seg_ros.simulation import objects
from any2seg_ros.simulation.crossings import crossing, features
from any2seg_ros.simulation.mesh import Appearance, Mesh, join, quads
from any2seg_ros.simulation.objects import surface
from any2seg_ros.simulation.road import Road
from any2seg_ros.simulation.site import Mover, Site, TownSettings
from any2seg_ros.simulation.zones import DECK, bridge_over_water, zone


@dataclass(frozen=True, eq=False)
class Town:
    """A street: static mesh, movers, lamps float32 (n, 3), and the drive's lane and speed."""

    road: Road
    still: Mesh
    movers: list[Mover]
    lamps: np.ndarray
    lane: float
    """d of the driven lane, m."""
    camera_height: float
    speed: float


def build_town(seed: np.random.SeedSequence, settings: TownSettings, seconds: float) -> Town:
    """Build the town of a seed, long enough for a drive of `seconds` from s = 0."""
    site = Site(np.random.default_rng(seed), settings, seconds)
    _carriageway(site)
    for side in (-1, 1):
        _side(site, side)
    for s in site.crossings:
        crossing(site, s)
    features(site)
    _horizon(site)
    _traffic(site)
    still = join(site.parts)
    hue = np.float32(site.rng.uniform(*settings.hue, 3))
    still.tint[:] *= hue
    return Town(
        site.road,
        still,
        site.movers,
        np.array(site.lamps, np.float32).reshape(-1, 3),
        -site.lane_width * (site.lanes - 0.5),
        site.rng.uniform(*settings.camera_height),
        site.speed,
    )


# Road and markings.


def _carriageway(site: Site) -> None:
    rng, road = site.rng, site.road
    lo, hi = -site.edge(-1), site.edge(1)
    site.parts.append(
        road.profile(-25.0, site.end + 75, [(lo, 0), (0, 0.02), (hi, 0)], site.asphalt)
    )
    white = surface("RoadLine", "marking", (1.0, 0.98, 0.9))
    yellow = surface("RoadLine", "marking", (1.05, 0.75, 0.15))
    middle = yellow if rng.uniform() < 0.3 else white
    double = rng.uniform() < 0.3
    for s in np.arange(-12.0, site.end + 20, 7.5):
        if site.at_crossing(s + 1.8, 9.0):
            continue
        length = 7.5 if double else 3.6
        for shift in (-0.14, 0.14) if double else (0.0,):
            _line(site, s, s + length, shift, 0.14, middle)
        for lane in range(1, site.lanes):
            for side in (-1, 1):
                _line(site, s, s + 3.6, side * lane * site.lane_width, 0.14, white)
        for side in (-1, 1):
            _line(site, s, s + 7.5, side * (site.half - 0.18), 0.16, white)
    if site.tram:
        steel = surface("RailTrack", "steel", (0.7, 0.62, 0.55))
        bed = surface("RailTrack", "slabs", (0.55, 0.5, 0.46))
        center = site.lane_width * 0.5
        for d in (center - 0.72, center + 0.72):
            site.parts.append(
                road.profile(-15, site.end + 60, [(d - 0.28, 0.025), (d + 0.28, 0.025)], bed)
            )
            site.parts.append(
                road.profile(-15, site.end + 60, [(d - 0.06, 0.04), (d + 0.06, 0.04)], steel)
            )


def _line(site: Site, s0: float, s1: float, d: float, width: float, appearance: Appearance) -> None:
    h = 0.02 * (1 - abs(d) / site.half) + 0.014
    site.parts.append(
        site.road.profile(s0, s1, [(d - width / 2, h), (d + width / 2, h)], appearance, 4.0)
    )


# Roadside.


def _side(site: Site, side: int) -> None:
    rng, s = site.rng, -12.0
    deck: list[str] = []
    cuts = sorted([c for c in site.crossings] + (list(site.river) if site.river else []))
    while s < site.end + 35:
        if not deck:
            deck = list(rng.permutation(DECK))
        length = rng.uniform(15.0, 30.0)
        nxt = [c for c in cuts if c > s + 0.5]
        target = s + length
        if nxt:
            stop = nxt[0] - (5.0 if nxt[0] in site.crossings else 0.0)
            if target > stop - 6:
                target = max(stop, s + 1.0)
        in_river = site.river is not None and site.river[0] - 0.1 <= s < site.river[1] - 0.1
        _walk(site, side, s, target)
        if in_river:
            bridge_over_water(site, side, s, target)
        else:
            zone(site, side, s, target, deck.pop())
        s = target
        if site.at_crossing(s + 5.0, 0.6):
            s += 10.0
    _furniture(site, side)
    _parked(site, side)
    _people(site, side)


def _walk(site: Site, side: int, s0: float, s1: float) -> None:
    e = side * site.edge(side)
    kerb = surface("SideWalk", "concrete", (0.9, 0.9, 0.9))
    gray = 0.9 + 0.2 * (side > 0)
    pave = surface("SideWalk", "slabs", (gray, gray, gray))
    site.parts.append(
        site.road.profile(s0, s1, [(e, 0.0), (e, 0.14), (e + side * 0.2, 0.15)], kerb)
    )
    site.parts.append(
        site.road.profile(s0, s1, [(e + side * 0.2, 0.15), (e + side * site.sidewalk, 0.17)], pave)
    )


# Street furniture, vehicles and pedestrians.


def _furniture(site: Site, side: int) -> None:
    rng, s = site.rng, -8.0
    d = side * (site.edge(side) + 0.55)
    inner = side * (site.edge(side) + site.sidewalk - 0.6)
    next_lamp = s
    while s < site.end - 10:
        s += rng.uniform(*site.settings.spacing)
        if site.at_crossing(s, 9.0) or site.over_river(s):
            continue
        if s >= next_lamp:
            site.add(objects.street_light(rng), s, d, 0.14, -side * np.pi / 2)
            x, y, z, _ = site.road.pose(s, d - side * 1.5, 6.5)
            site.lamps.append((x, y, z))
            next_lamp = s + rng.uniform(18.0, 26.0)
            continue
        kind = rng.choice(9, p=[0.14, 0.17, 0.05, 0.13, 0.22, 0.10, 0.04, 0.11, 0.04])
        turn = -side * np.pi / 2
        if kind == 0:
            site.add(objects.tree(rng), s, d + side * 0.3, 0.14)
        elif kind == 1:
            facing = 0.0 if side < 0 else np.pi
            site.add(
                objects.traffic_sign(rng),
                s,
                d,
                0.14,
                facing + rng.uniform(-0.2, 0.2) + (np.pi if rng.uniform() < 0.3 else 0),
            )
        elif kind == 2:
            for k in range(4):
                site.add(objects.bollard(rng), s + 1.3 * k, d - side * 0.2, 0.14)
        elif kind == 3:
            site.add(objects.static_thing(rng), s, inner, 0.16, turn)
        elif kind == 4:
            site.add(
                objects.dynamic_thing(rng),
                s,
                d + side * rng.uniform(0, 1.2),
                0.15,
                rng.uniform(0, 6.3),
            )
        elif kind == 5:
            site.add(objects.other_thing(rng), s, inner + side * 0.4, 0.16, turn)
        elif kind == 6:
            site.add(objects.utility_pole(rng), s, d, 0.14)
        elif kind == 7:
            maker = objects.bicycle if rng.uniform() < 0.6 else objects.motorcycle
            for k in range(rng.integers(1, 4)):
                site.add(
                    maker(rng, False),
                    s + 0.75 * k,
                    d + side * 0.5,
                    0.15,
                    turn + rng.uniform(-0.25, 0.25),
                )
        else:
            site.add(objects.bush(rng), s, inner, 0.16)


def _parked(site: Site, side: int) -> None:
    if not site.parking[side]:
        return
    rng, s = site.rng, -10.0
    makers = [objects.car, objects.truck, objects.motorcycle, objects.bus]
    while s < site.end:
        s += rng.uniform(5.4, 7.0)
        if rng.uniform() > site.settings.parked or site.at_crossing(s, 12.0):
            continue
        kind = rng.choice(4, p=[0.72, 0.12, 0.11, 0.05])
        thing = makers[kind](rng) if kind != 2 else objects.motorcycle(rng, False)
        d = side * (site.half + (1.05 if kind != 3 else 1.3))
        site.add(
            thing,
            s + (2.0 if kind in (1, 3) else 0.0),
            d,
            0.0,
            (0.0 if side < 0 else np.pi) + rng.uniform(-0.03, 0.03),
        )
        if kind in (1, 3):
            s += 7.0


def _people(site: Site, side: int) -> None:
    rng, s = site.rng, -12.0
    while s < site.end - 10:
        s += rng.uniform(*site.settings.walkers)
        d = side * (site.edge(side) + rng.uniform(0.9, max(1.0, site.sidewalk - 0.5)))
        for _ in range(1 if rng.uniform() < 0.7 else 2):
            site.walker(s + rng.uniform(-0.6, 0.6), d + rng.uniform(-0.4, 0.4))


def _traffic(site: Site) -> None:
    rng = site.rng
    for lane in range(site.lanes):
        for side in (-1, 1):
            d = side * (lane + 0.5) * site.lane_width
            own = side < 0 and lane == site.lanes - 1
            s = 9.0 + rng.uniform(0, 12) if own else -30.0
            while s < site.end + 30:
                s = _vehicle(site, s, d, side, own) + rng.uniform(*site.settings.traffic)
    for side in (-1, 1):
        s = -10.0
        while s < site.end:
            s += rng.uniform(10.0, 34.0)
            maker = objects.bicycle if rng.uniform() < 0.6 else objects.motorcycle
            turn = 0.0 if side < 0 else np.pi
            speed = -side * rng.uniform(3.0, 6.0)
            site.movers.append(Mover(maker(rng), s, side * (site.half - 0.55), speed, 0.0, turn))


def _vehicle(site: Site, s: float, d: float, side: int, own: bool) -> float:
    rng = site.rng
    kind = rng.choice(4, p=[0.56, 0.17, 0.17, 0.1])
    maker = [objects.car, objects.bus, objects.truck, objects.motorcycle][kind]
    mesh = maker(rng)
    length = float(np.ptp(mesh.corners[..., 0]))
    speed = site.speed + rng.uniform(0.0, 1.2) if own else rng.uniform(5.0, 11.0)
    center = s + length / 2
    site.movers.append(
        Mover(
            mesh,
            center,
            d + rng.uniform(-0.2, 0.2),
            -side * speed,
            0.0,
            0.0 if side < 0 else np.pi,
        )
    )
    return s + length


def _horizon(site: Site) -> None:
    rng = site.rng
    x, y, z, _ = site.road.at(site.end / 2)
    low = float(site.road.z.min()) - 3.0
    span = 900.0
    flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * span
    corners = np.concatenate([flat + (x, y), np.full((4, 1), low)], 1)
    site.parts.append(quads(corners[None], flat[None], surface("Terrain", "grass")))
    angle = np.linspace(0, 2 * np.pi, 61)
    top = rng.uniform(9.0, 34.0, 61)
    top[-1] = top[0]
    radius = 260.0 + site.end / 2
    ring = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
    bottom = np.concatenate([ring, np.full((61, 1), low)], 1)
    upper = np.concatenate([ring, (z + top)[:, None]], 1)
    corners = np.stack([bottom[1:], bottom[:-1], upper[:-1], upper[1:]], 1)
    uv = np.zeros((60, 4, 2))
    uv[:, :, 0] = np.arange(60)[:, None] * 30 + np.array([30, 0, 0, 30])
    uv[:, 2:, 1] = 30
    site.parts.append(quads(corners, uv, surface("Vegetation", "leaves", (0.7, 0.85, 0.7))))
