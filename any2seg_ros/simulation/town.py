"""Towns: what stands along a road, and what moves on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from any2seg_ros.simulation import objects
from any2seg_ros.simulation.materials import M
from any2seg_ros.simulation.mesh import Look, Mesh, box, column, join, quads
from any2seg_ros.simulation.objects import CLASS
from any2seg_ros.simulation.road import Road

Range = tuple[float, float]


@dataclass(frozen=True)
class TownSettings:
    """What a generator of towns may choose from; train and val share one, test has its own."""

    lane_width: Range = (3.0, 3.7)
    sidewalk: Range = (2.2, 3.6)
    lanes: tuple[int, ...] = (1, 1, 2)
    bend: float = 0.012
    slope: float = 0.05
    floors: tuple[int, int] = (2, 6)
    spacing: Range = (2.6, 6.0)
    """Metres between pieces of street furniture."""
    parked: float = 0.45
    """Share of the kerb that is taken by parked vehicles."""
    traffic: Range = (11.0, 26.0)
    """Metres between vehicles of a lane."""
    walkers: Range = (3.5, 11.0)
    """Metres between people on a sidewalk."""
    hue: Range = (0.92, 1.08)
    """Factor on each of red, green and blue of a whole town."""
    camera_height: Range = (1.45, 1.75)
    speed: Range = (3.5, 9.5)


TEST_SETTINGS = TownSettings(
    lane_width=(2.7, 4.2), sidewalk=(1.7, 4.5), lanes=(1, 2), bend=0.017, slope=0.075,
    floors=(1, 9), spacing=(2.0, 8.0), parked=0.65, traffic=(9.0, 32.0), walkers=(2.5, 14.0),
    hue=(0.82, 1.18), camera_height=(1.3, 2.1), speed=(2.5, 12.0),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mover:
    """Something that moves: at second t it is at s + speed t, d + across t, turned by `turn`."""

    mesh: Mesh
    s: float
    d: float
    speed: float
    across: float
    turn: float
    h: float = 0.0


@dataclass(frozen=True, eq=False)
class Town:
    """A street: its still part, what moves, lamps float32 (n, 3), and the drive along it."""

    road: Road
    still: Mesh
    movers: list[Mover]
    lamps: np.ndarray
    lane: float
    """d of the lane that is driven."""
    camera_height: float
    speed: float


def build_town(seed: np.random.SeedSequence, settings: TownSettings, seconds: float) -> Town:
    """The town of a seed, long enough for a drive of `seconds` from s = 0."""
    return _Builder(np.random.default_rng(seed), settings, seconds).build()


def _look(name: str, material: str, tint: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Look:
    return Look(CLASS[name], M[material], tint)


_ZONES = ("houses", "houses", "park", "wall", "water", "water", "rail", "plaza", "yard")


class _Builder:
    def __init__(self, rng: np.random.Generator, settings: TownSettings, seconds: float) -> None:
        self.rng, self.settings = rng, settings
        self.speed = rng.uniform(*settings.speed)
        self.end = self.speed * seconds + 95.0
        self.parts: list[Mesh] = []
        self.movers: list[Mover] = []
        self.lamps: list[tuple[float, float, float]] = []
        self.road = Road.winding(rng, -60.0, self.end + 130.0, settings.bend, settings.slope)
        self.lanes = int(rng.choice(settings.lanes))
        self.lane_width = rng.uniform(*settings.lane_width)
        self.half = self.lanes * self.lane_width
        self.sidewalk = rng.uniform(*settings.sidewalk)
        self.parking = {side: 2.1 if rng.uniform() < 0.5 else 0.0 for side in (-1, 1)}
        self.tram = rng.uniform() < 0.3
        self.crossings = self._crossings()
        self.river = self._river()

    def build(self) -> Town:
        self._carriageway()
        for side in (-1, 1):
            self._side(side)
        for s in self.crossings:
            self._crossing(s)
        self._features()
        self._horizon()
        self._traffic()
        still = join(self.parts)
        hue = np.float32(self.rng.uniform(*self.settings.hue, 3))
        still.tint[:] *= hue
        return Town(
            self.road,
            still,
            self.movers,
            np.array(self.lamps, np.float32).reshape(-1, 3),
            -self.lane_width * (self.lanes - 0.5),
            self.rng.uniform(*self.settings.camera_height),
            self.speed,
        )

    def _add(self, mesh: Mesh, s: float, d: float, h: float = 0.0, turn: float = 0.0) -> None:
        self.parts.append(self.road.put(mesh, s, d, h, turn))

    def edge(self, side: int) -> float:
        """Distance from the centre line to the kerb."""
        return self.half + self.parking[side]

    def _crossings(self) -> list[float]:
        places, s = [], self.rng.uniform(12.0, 45.0)
        while s < self.end - 20:
            places.append(s)
            s += self.rng.uniform(65.0, 120.0)
        return places

    def _river(self) -> tuple[float, float] | None:
        if self.rng.uniform() > 0.5:
            return None
        s = self.rng.uniform(8.0, self.end - 60.0)
        return (s, s + self.rng.uniform(14.0, 26.0))

    def _at_crossing(self, s: float, margin: float) -> bool:
        return any(abs(s - c) < margin for c in self.crossings)

    # The road and its lines.

    def _carriageway(self) -> None:
        rng, road = self.rng, self.road
        gray = rng.uniform(0.75, 1.35)
        self.asphalt = _look("Road", "asphalt", (gray, gray, gray))
        lo, hi = -self.edge(-1), self.edge(1)
        self.parts.append(
            road.profile(-25.0, self.end + 75, [(lo, 0), (0, 0.02), (hi, 0)], self.asphalt)
        )
        white = _look("RoadLine", "marking", (1.0, 0.98, 0.9))
        yellow = _look("RoadLine", "marking", (1.05, 0.75, 0.15))
        middle = yellow if rng.uniform() < 0.3 else white
        double = rng.uniform() < 0.3
        for s in np.arange(-12.0, self.end + 20, 7.5):
            if self._at_crossing(s + 1.8, 9.0):
                continue
            length = 7.5 if double else 3.6
            for shift in (-0.14, 0.14) if double else (0.0,):
                self._line(s, s + length, shift, 0.14, middle)
            for lane in range(1, self.lanes):
                for side in (-1, 1):
                    self._line(s, s + 3.6, side * lane * self.lane_width, 0.14, white)
            for side in (-1, 1):
                self._line(s, s + 7.5, side * (self.half - 0.18), 0.16, white)
        if self.tram:
            steel = _look("RailTrack", "steel", (0.7, 0.62, 0.55))
            bed = _look("RailTrack", "slabs", (0.55, 0.5, 0.46))
            center = self.lane_width * 0.5
            for d in (center - 0.72, center + 0.72):
                self.parts.append(
                    road.profile(-15, self.end + 60, [(d - 0.28, 0.025), (d + 0.28, 0.025)], bed)
                )
                self.parts.append(
                    road.profile(-15, self.end + 60, [(d - 0.06, 0.04), (d + 0.06, 0.04)], steel)
                )

    def _line(self, s0: float, s1: float, d: float, width: float, look: Look) -> None:
        h = 0.02 * (1 - abs(d) / self.half) + 0.014
        self.parts.append(
            self.road.profile(s0, s1, [(d - width / 2, h), (d + width / 2, h)], look, 4.0)
        )

    # Both sides of it.

    def _side(self, side: int) -> None:
        rng, s = self.rng, -12.0
        deck: list[str] = []
        cuts = sorted([c for c in self.crossings] + (list(self.river) if self.river else []))
        while s < self.end + 35:
            if not deck:
                deck = list(rng.permutation(_ZONES))
            length = rng.uniform(15.0, 30.0)
            nxt = [c for c in cuts if c > s + 0.5]
            target = s + length
            if nxt:
                stop = nxt[0] - (5.0 if nxt[0] in self.crossings else 0.0)
                if target > stop - 6:
                    target = max(stop, s + 1.0)
            in_river = self.river is not None and self.river[0] - 0.1 <= s < self.river[1] - 0.1
            if in_river:
                self._bridge_over_water(side, s, target)
            else:
                self._walk(side, s, target)
                self._zone(side, s, target, deck.pop())
            s = target
            if self._at_crossing(s + 5.0, 0.6):
                s += 10.0
        self._furniture(side)
        self._parked(side)
        self._people(side)

    def _walk(self, side: int, s0: float, s1: float) -> None:
        e = side * self.edge(side)
        kerb = _look("SideWalk", "concrete", (0.9, 0.9, 0.9))
        gray = 0.9 + 0.2 * (side > 0)
        pave = _look("SideWalk", "slabs", (gray, gray, gray))
        self.parts.append(
            self.road.profile(s0, s1, [(e, 0.0), (e, 0.14), (e + side * 0.2, 0.15)], kerb)
        )
        self.parts.append(
            self.road.profile(
                s0, s1, [(e + side * 0.2, 0.15), (e + side * self.sidewalk, 0.17)], pave
            )
        )

    def _ground(
        self,
        side: int,
        s0: float,
        s1: float,
        d0: float,
        d1: float,
        name: str,
        material: str,
        h: float = 0.16,
    ) -> None:
        look = _look(name, material)
        self.parts.append(self.road.profile(s0, s1, [(side * d0, h), (side * d1, h)], look))

    def _zone(self, side: int, s0: float, s1: float, kind: str) -> None:
        d = self.edge(side) + self.sidewalk
        far = {"houses": "grass", "plaza": "soil"}.get(kind, "grass")
        if s1 - s0 < 8.0:
            # Too short for anything but a strip of grass.
            kind = "gap"
            self._ground(side, s0, s1, d, d + 16.0, "Terrain", "grass")
        else:
            getattr(self, "_" + kind)(side, s0, s1, d)
        if kind != "water":
            self._ground(side, s0, s1, d + 16.0, 110.0, "Terrain", far, 0.1)
        if kind not in ("houses",):
            self._backdrop(
                side, s0, s1, d + (34.0 if kind == "water" else self.rng.uniform(18, 26))
            )

    def _houses(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        setback = float(rng.choice([0.0, 0.0, 2.5, 5.0]))
        if setback:
            name, material = [("Terrain", "grass"), ("Ground", "cobbles")][rng.integers(2)]
            self._ground(side, s0, s1, d, d + setback, name, material)
            if rng.uniform() < 0.5:
                self._fence(side, s0, s1, d + 0.15)
            elif name == "Terrain":
                for s in np.arange(s0 + 1.5, s1 - 1, 3.1):
                    self._add(objects.hedge(rng, 2.6), s, side * (d + 0.6), 0.15)
        self._ground(side, s0, s1, d + setback, d + 16.0, "Ground", "soil")
        self._row(side, s0, s1, d + setback)

    def _row(self, side: int, s0: float, s1: float, d: float) -> None:
        s = s0
        while s1 - s > 5.0:
            width = min(self.rng.uniform(8.0, 16.0), s1 - s)
            if s1 - s - width < 5.0:
                width = s1 - s
            floors = int(self.rng.integers(*self.settings.floors, endpoint=True))
            house = objects.building(self.rng, width - 0.1, self.rng.uniform(9.0, 13.0), floors)
            self._add(house, s + width / 2, side * (d + 0.2), 0.0, -side * np.pi / 2)
            s += width

    def _backdrop(self, side: int, s0: float, s1: float, d: float) -> None:
        if self.rng.uniform() < 0.6:
            return self._row(side, s0, s1, d)
        for s in np.arange(s0 + 2, s1, 4.0):
            self._add(
                objects.tree(self.rng, self.rng.uniform(6, 11)),
                s,
                side * (d + self.rng.uniform(-3, 3)),
                0.1,
            )
        return None

    def _park(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        self._ground(side, s0, s1, d, d + 16.0, "Terrain", "grass")
        if rng.uniform() < 0.5:
            self._fence(side, s0, s1, d + 0.2)
        elif rng.uniform() < 0.4:
            self._guard(side, s0, s1, d - self.sidewalk + 0.35)
        for _ in range(int((s1 - s0) / 3.5)):
            s, at = rng.uniform(s0 + 1, s1 - 1), d + rng.uniform(2.5, 15.0)
            maker = objects.tree if rng.uniform() < 0.55 else objects.bush
            self._add(maker(rng), s, side * at, 0.1)
        if rng.uniform() < 0.6:
            self._add(
                objects.other_thing(rng),
                rng.uniform(s0 + 3, s1 - 3),
                side * (d + 3.5),
                0.15,
                -side * np.pi / 2,
            )

    def _wall(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        material = str(rng.choice(["stones", "bricks", "concrete"]))
        height = rng.uniform(1.3, 3.2)
        look = _look("Wall", material, tuple(rng.uniform(0.85, 1.15, 3)))
        self.parts.append(
            self.road.bar(s0 + 0.3, s1 - 0.3, side * (d + 0.25), 0.0, height, 0.4, look)
        )
        cap = _look("Wall", "concrete")
        self.parts.append(
            self.road.bar(s0 + 0.3, s1 - 0.3, side * (d + 0.25), height, height + 0.12, 0.55, cap)
        )
        self._ground(side, s0, s1, d, d + 16.0, "Terrain", "grass")
        for s in np.arange(s0 + 2, s1 - 2, 5.0):
            self._add(objects.tree(rng), s, side * (d + rng.uniform(3, 9)), 0.1)

    def _water(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        bank = _look("Terrain", "grass")
        self.parts.append(
            self.road.profile(
                s0, s1, [(side * d, 0.16), (side * (d + 0.8), 0.1), (side * (d + 2.2), -0.75)], bank
            )
        )
        self._lake(side, s0, s1, d + 2.0, d + 30.0)
        ends = _look("Wall", "stones")
        for s in (s0, s1):
            self.parts.append(
                self.road.profile(
                    s - 0.05, s + 0.05, [(side * (d + 0.9), 0.14), (side * (d + 30), 0.14)], ends
                )
            )
            at, span = np.full(4, s), np.array([d + 0.9, d + 30, d + 30, d + 0.9])
            corners = self.road.world(at, side * span, np.array([-0.9, -0.9, 0.14, 0.14]))
            self.parts.append(
                quads(corners[None], np.array([[[0, 0], [29, 0], [29, 1], [0, 1]]], float), ends)
            )
        self._ground(side, s0, s1, d + 29.0, 110.0, "Terrain", "grass", 0.1)
        kind = rng.integers(3)
        if kind == 0:
            self._guard(side, s0, s1, d - 0.25)
        elif kind == 1:
            self._fence(side, s0, s1, d - 0.2)

    def _lake(self, side: int, s0: float, s1: float, d0: float, d1: float) -> None:
        look = _look("Water", "water")
        self.parts.append(self.road.profile(s0, s1, [(side * d0, -0.7), (side * d1, -0.7)], look))

    def _rail(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        self._ground(side, s0, s1, d, d + 16.0, "Terrain", "grass")
        ballast, steel = (
            _look("RailTrack", "ballast"),
            _look("RailTrack", "steel", (0.65, 0.55, 0.48)),
        )
        for center in (d + 2.9, d + 7.0)[: rng.integers(1, 3)]:
            bed = [
                (center - 2.0, 0.1),
                (center - 1.5, 0.42),
                (center + 1.5, 0.42),
                (center + 2.0, 0.1),
            ]
            self.parts.append(self.road.profile(s0, s1, [(side * a, b) for a, b in bed], ballast))
            for rail in (center - 0.75, center + 0.75):
                self.parts.append(self.road.bar(s0, s1, side * rail, 0.4, 0.6, 0.1, steel))
            for s in np.arange(s0 + 3, s1, 22.0):
                pole = _look("Pole", "steel")
                self._add(
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
            self._fence(side, s0, s1, d + 0.2)
        elif kind == 1:
            self._guard(side, s0, s1, d - self.sidewalk + 0.4)

    def _plaza(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        self._ground(side, s0, s1, d, d + 18.0, "Ground", "cobbles", 0.17)
        for _ in range(int((s1 - s0) / 4)):
            s, at = rng.uniform(s0 + 2, s1 - 2), side * (d + rng.uniform(1.2, 9.0))
            maker = [
                objects.other_thing,
                objects.other_thing,
                objects.static_thing,
                objects.dynamic_thing,
                objects.tree,
            ][rng.integers(5)]
            self._add(maker(rng), s, at, 0.17, -side * np.pi / 2 + rng.uniform(-0.4, 0.4))
        for _ in range(3):
            self._walker(rng.uniform(s0 + 1, s1 - 1), side * (d + rng.uniform(0.5, 8.0)))

    def _yard(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        self._ground(
            side, s0, s1, d, d + 18.0, "Ground", "soil" if rng.uniform() < 0.5 else "cobbles"
        )
        kind = rng.integers(3)
        if kind == 0:
            self._guard(side, s0, s1, d - self.sidewalk + 0.4)
        elif kind == 1:
            self._fence(side, s0, s1, d + 0.2)
        for s in np.arange(s0 + 2.5, s1 - 2, 3.2):
            maker = [objects.car, objects.car, objects.truck, objects.dynamic_thing][
                rng.choice(4, p=[0.4, 0.2, 0.15, 0.25])
            ]
            self._add(maker(rng), s, side * (d + 5.5), 0.16, side * np.pi / 2)

    def _fence(self, side: int, s0: float, s1: float, d: float) -> None:
        rng = self.rng
        height = rng.uniform(1.0, 1.7)
        if rng.uniform() < 0.45:
            look = _look("Fence", "planks", tuple(rng.uniform(0.7, 1.2, 3)))
            self.parts.append(self.road.bar(s0 + 0.2, s1 - 0.2, side * d, 0.3, height, 0.06, look))
        else:
            tint = [(0.06, 0.07, 0.07), (0.1, 0.25, 0.15), (0.7, 0.7, 0.68)][rng.integers(3)]
            look = _look("Fence", "plain", tint)
            for h in (0.3, height - 0.1):
                self.parts.append(
                    self.road.bar(s0 + 0.2, s1 - 0.2, side * d, h, h + 0.07, 0.05, look)
                )
            slat = box((0.09, 0.04, height - 0.2), (0, 0, 0.16 + (height - 0.2) / 2), look)
            self.parts.append(self.road.row(slat, np.arange(s0 + 0.3, s1 - 0.2, 0.26), side * d))
        post = box((0.1, 0.1, height + 0.1), (0, 0, (height + 0.1) / 2), look)
        self.parts.append(self.road.row(post, np.arange(s0 + 0.3, s1 - 0.2, 2.6), side * d, 0.1))

    def _guard(self, side: int, s0: float, s1: float, d: float) -> None:
        beam, post = _look("GroundRail", "beam"), _look("GroundRail", "steel", (0.7, 0.7, 0.7))
        a, b = s0 + 0.3, s1 - 0.3
        self.parts.append(self.road.bar(a, b, side * d, 0.5, 0.84, 0.09, beam))
        if self.rng.uniform() < 0.5:
            self.parts.append(self.road.bar(a, b, side * d, 0.2, 0.36, 0.07, beam))
        stake = box((0.12, 0.12, 0.8), (0, side * 0.1, 0.4), post)
        self.parts.append(self.road.row(stake, np.arange(a + 0.5, b, 2.0), side * d))

    def _bridge_over_water(self, side: int, s0: float, s1: float) -> None:
        self._walk(side, s0, s1)
        d = self.edge(side) + self.sidewalk
        look = _look("Bridge", "concrete", (0.85, 0.82, 0.76))
        stone = _look("Bridge", "stones")
        self.parts.append(
            self.road.bar(
                s0, s1, side * (d + 0.15), -1.0, 1.0, 0.35, look if self.lanes == 1 else stone
            )
        )
        self.parts.append(self.road.bar(s0, s1, side * (d + 0.15), 1.0, 1.12, 0.5, look))
        self._lake(side, s0, s1, d, 80.0)
        self._backdrop(side, s0, s1, 82.0)

    # Pieces of furniture, vehicles and people.

    def _furniture(self, side: int) -> None:
        rng, s = self.rng, -8.0
        d = side * (self.edge(side) + 0.55)
        inner = side * (self.edge(side) + self.sidewalk - 0.6)
        next_lamp = s
        while s < self.end - 10:
            s += rng.uniform(*self.settings.spacing)
            if self._at_crossing(s, 9.0) or self._under_river(s):
                continue
            if s >= next_lamp:
                self._add(objects.street_light(rng), s, d, 0.14, -side * np.pi / 2)
                x, y, z, _ = self.road.pose(s, d - side * 1.5, 6.5)
                self.lamps.append((x, y, z))
                next_lamp = s + rng.uniform(18.0, 26.0)
                continue
            kind = rng.choice(9, p=[0.14, 0.17, 0.05, 0.13, 0.22, 0.10, 0.04, 0.11, 0.04])
            turn = -side * np.pi / 2
            if kind == 0:
                self._add(objects.tree(rng), s, d + side * 0.3, 0.14)
            elif kind == 1:
                facing = 0.0 if side < 0 else np.pi
                self._add(
                    objects.traffic_sign(rng),
                    s,
                    d,
                    0.14,
                    facing + rng.uniform(-0.2, 0.2) + (np.pi if rng.uniform() < 0.3 else 0),
                )
            elif kind == 2:
                for k in range(4):
                    self._add(objects.bollard(rng), s + 1.3 * k, d - side * 0.2, 0.14)
            elif kind == 3:
                self._add(objects.static_thing(rng), s, inner, 0.16, turn)
            elif kind == 4:
                self._add(
                    objects.dynamic_thing(rng),
                    s,
                    d + side * rng.uniform(0, 1.2),
                    0.15,
                    rng.uniform(0, 6.3),
                )
            elif kind == 5:
                self._add(objects.other_thing(rng), s, inner + side * 0.4, 0.16, turn)
            elif kind == 6:
                self._add(objects.utility_pole(rng), s, d, 0.14)
            elif kind == 7:
                maker = objects.bicycle if rng.uniform() < 0.6 else objects.motorcycle
                for k in range(rng.integers(1, 4)):
                    self._add(
                        maker(rng, False),
                        s + 0.75 * k,
                        d + side * 0.5,
                        0.15,
                        turn + rng.uniform(-0.25, 0.25),
                    )
            else:
                self._add(_look_bush(rng), s, inner, 0.16)

    def _under_river(self, s: float) -> bool:
        return self.river is not None and self.river[0] - 1 < s < self.river[1] + 1

    def _parked(self, side: int) -> None:
        if not self.parking[side]:
            return
        rng, s = self.rng, -10.0
        makers = [objects.car, objects.truck, objects.motorcycle, objects.bus]
        while s < self.end:
            s += rng.uniform(5.4, 7.0)
            if rng.uniform() > self.settings.parked or self._at_crossing(s, 12.0):
                continue
            kind = rng.choice(4, p=[0.72, 0.12, 0.11, 0.05])
            thing = makers[kind](rng) if kind != 2 else objects.motorcycle(rng, False)
            d = side * (self.half + (1.05 if kind != 3 else 1.3))
            self._add(
                thing,
                s + (2.0 if kind in (1, 3) else 0.0),
                d,
                0.0,
                (0.0 if side < 0 else np.pi) + rng.uniform(-0.03, 0.03),
            )
            if kind in (1, 3):
                s += 7.0

    def _walker(self, s: float, d: float, across: float = 0.0) -> None:
        rng = self.rng
        still = rng.uniform() < 0.2
        forward = rng.choice([-1.0, 1.0])
        speed = 0.0 if still or across else forward * rng.uniform(0.9, 1.8)
        turn = rng.uniform(0, 2 * np.pi) if still else (0.0 if forward > 0 else np.pi)
        if across:
            turn = np.pi / 2 * np.sign(across)
        h = 0.0 if across else 0.16
        self.movers.append(
            Mover(
                objects.person(rng, "stand" if still and not across else "walk"),
                s,
                d,
                speed,
                across,
                turn,
                h,
            )
        )

    def _people(self, side: int) -> None:
        rng, s = self.rng, -12.0
        while s < self.end - 10:
            s += rng.uniform(*self.settings.walkers)
            d = side * (self.edge(side) + rng.uniform(0.9, max(1.0, self.sidewalk - 0.5)))
            for _ in range(1 if rng.uniform() < 0.7 else 2):
                self._walker(s + rng.uniform(-0.6, 0.6), d + rng.uniform(-0.4, 0.4))

    def _traffic(self) -> None:
        rng = self.rng
        for lane in range(self.lanes):
            for side in (-1, 1):
                d = side * (lane + 0.5) * self.lane_width
                own = side < 0 and lane == self.lanes - 1
                s = 9.0 + rng.uniform(0, 12) if own else -30.0
                while s < self.end + 30:
                    s = self._vehicle(s, d, side, own) + rng.uniform(*self.settings.traffic)
        for side in (-1, 1):
            s = -10.0
            while s < self.end:
                s += rng.uniform(10.0, 34.0)
                maker = objects.bicycle if rng.uniform() < 0.6 else objects.motorcycle
                turn = 0.0 if side < 0 else np.pi
                speed = -side * rng.uniform(3.0, 6.0)
                self.movers.append(
                    Mover(maker(rng), s, side * (self.half - 0.55), speed, 0.0, turn)
                )

    def _vehicle(self, s: float, d: float, side: int, own: bool) -> float:
        rng = self.rng
        kind = rng.choice(4, p=[0.56, 0.17, 0.17, 0.1])
        maker = [objects.car, objects.bus, objects.truck, objects.motorcycle][kind]
        mesh = maker(rng)
        length = float(np.ptp(mesh.corners[..., 0]))
        speed = self.speed + rng.uniform(0.0, 1.2) if own else rng.uniform(5.0, 11.0)
        center = s + length / 2
        self.movers.append(
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

    # Crossings, bridges, rails over the road.

    def _crossing(self, s: float) -> None:
        rng, white = self.rng, _look("RoadLine", "marking")
        for side in (-1, 1):
            self._arm(s, side)
        for zebra in (s - 7.6, s + 4.6):
            for d in np.arange(-self.half + 0.4, self.half - 0.3, 1.0):
                h = 0.02 * (1 - abs(d) / self.half) + 0.014
                self.parts.append(
                    self.road.profile(zebra, zebra + 3.0, [(d, h), (d + 0.5, h)], white)
                )
            for _ in range(rng.integers(1, 4)):
                d = rng.uniform(-self.half, self.half)
                self._walker(
                    zebra + rng.uniform(0.4, 2.6),
                    d,
                    rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.6),
                )
        self.parts.append(self.road.patch(s - 8.8, s - 8.3, -self.half + 0.2, -0.2, 0.035, white))
        self.parts.append(self.road.patch(s + 8.3, s + 8.8, 0.2, self.half - 0.2, 0.035, white))
        for side, at, turn in (
            (-1, s - 8.4, 0.0),
            (1, s + 8.4, np.pi),
            (1, s - 8.6, 0.0),
            (-1, s + 8.6, np.pi),
        ):
            # Arms reach along -y: over the road for the right side, mirrored by turning round.
            light = objects.traffic_light(rng)
            if (side < 0) == (turn == 0.0):
                light = _mirrored(light)
            self._add(light, at, side * (self.edge(side) + 0.5), 0.14, turn)
        if rng.uniform() < 0.6:
            self._add(objects.traffic_sign(rng), s - 9.6, -(self.edge(-1) + 0.8), 0.14)

    def _arm(self, s: float, side: int) -> None:
        """One side of a crossing: a road away from the street, with its sidewalks."""
        rng, e = self.rng, self.edge(side)
        asphalt = self.asphalt
        far = 75.0
        self.parts.append(self.road.patch(s - 3.4, s + 3.4, side * e, side * far, 0.0, asphalt))
        pave = _look("SideWalk", "slabs")
        for a, b in ((s - 5.2, s - 3.4), (s + 3.4, s + 5.2)):
            self.parts.append(self.road.patch(a, b, side * e, side * far, 0.15, pave))
        white = _look("RoadLine", "marking")
        for d in np.arange(e + 3.5, 60.0, 7.0):
            self.parts.append(
                self.road.patch(s - 0.07, s + 0.07, side * d, side * (d + 3.5), 0.02, white)
            )
        for k in np.arange(-3.0, 3.0, 1.0):
            self.parts.append(
                self.road.patch(
                    s + k, s + k + 0.5, side * (e + 0.3), side * (e + 2.6), 0.022, white
                )
            )
        self._add(
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
                self.movers.append(
                    Mover(mesh, s - side * lane, side * d, 0.0, side * away * speed, turn)
                )

    def _features(self) -> None:
        rng = self.rng
        s = rng.uniform(14.0, 40.0)
        while s < self.end - 10:
            if not self._at_crossing(s, 16.0) and not self._under_river(s):
                kind = rng.choice(["overpass", "gantry", "level_crossing", "level_crossing"])
                getattr(self, "_" + str(kind))(s)
            s += rng.uniform(28.0, 70.0)

    def _overpass(self, s: float) -> None:
        rng = self.rng
        look = _look(
            "Bridge", "concrete", tuple(rng.uniform(0.75, 1.1) * np.array([1.0, 0.98, 0.94]))
        )
        stone = _look("Bridge", "stones")
        wide, clear = rng.uniform(5.0, 9.0), rng.uniform(4.8, 6.2)
        reach = self.half + 60.0
        deck = box((wide, 2 * reach, 1.1), (0, 0, clear + 0.55), look)
        rails = [
            box((0.3, 2 * reach, 1.0), (x, 0, clear + 1.6), look)
            for x in (-wide / 2 + 0.15, wide / 2 - 0.15)
        ]
        pillars = []
        for side in (-1, 1):
            d = side * (self.edge(side) + self.sidewalk + 0.9)
            pillars.append(box((wide * 0.8, 1.4, clear + 4), (0, d, clear / 2 - 2), stone))
            pillars += [
                column(0.6, clear + 4, look, (0, d + side * k * 14.0, -4), 10) for k in (1, 2, 3)
            ]
        self._add(join([deck, *rails, *pillars]), s, 0.0)

    def _gantry(self, s: float) -> None:
        span = self.edge(-1) + self.edge(1) + 1.6
        self._add(objects.gantry(self.rng, span), s, (self.edge(1) - self.edge(-1)) / 2)

    def _level_crossing(self, s: float) -> None:
        steel, bed = _look("RailTrack", "steel", (0.65, 0.55, 0.48)), _look("RailTrack", "ballast")
        plate = _look("RailTrack", "slabs", (0.6, 0.55, 0.5))
        reach = 60.0
        for side in (-1, 1):
            e = self.edge(side)
            self.parts.append(self.road.patch(s - 1.6, s + 1.6, side * e, side * reach, 0.2, bed))
        self.parts.append(
            self.road.patch(s - 1.5, s + 1.5, -self.edge(-1), self.edge(1), 0.03, plate)
        )
        for k in (-0.75, 0.75):
            self.parts.append(
                self.road.patch(s + k - 0.07, s + k + 0.07, -reach, reach, 0.24, steel)
            )
            self.parts.append(
                self.road.patch(
                    s + k - 0.07, s + k + 0.07, -self.edge(-1), self.edge(1), 0.05, steel
                )
            )
        for side, turn in ((-1, 0.0), (1, np.pi)):
            arm = self.half * 0.9
            barrier = box((0.12, arm, 0.14), (0, arm / 2, 3.0), _look("Dynamic", "stripes"))
            post = column(0.12, 3.2, _look("Pole", "plain", (0.7, 0.7, 0.7)), sides=8)
            lamp = box(
                (0.2, 0.5, 0.5), (-0.15, 0, 2.6), _look("TrafficLight", "plain", (0.06, 0.05, 0.05))
            )
            red = Look(CLASS["TrafficLight"], M["plain"], (1.0, 0.05, 0.03), 2.0)
            lit = box((0.05, 0.2, 0.2), (-0.27, 0, 2.6), red)
            self._add(
                join([barrier, post, lamp, lit]),
                s - 3.2 * (1 if turn == 0 else -1),
                side * (self.edge(side) + 0.3),
                0.0,
                turn,
            )

    def _horizon(self) -> None:
        rng = self.rng
        x, y, z, _ = self.road.at(self.end / 2)
        low = float(self.road.z.min()) - 3.0
        span = 900.0
        flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * span
        corners = np.concatenate([flat + (x, y), np.full((4, 1), low)], 1)
        self.parts.append(quads(corners[None], flat[None], _look("Terrain", "grass")))
        angle = np.linspace(0, 2 * np.pi, 61)
        top = rng.uniform(9.0, 34.0, 61)
        top[-1] = top[0]
        radius = 260.0 + self.end / 2
        ring = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
        bottom = np.concatenate([ring, np.full((61, 1), low)], 1)
        upper = np.concatenate([ring, (z + top)[:, None]], 1)
        corners = np.stack([bottom[1:], bottom[:-1], upper[:-1], upper[1:]], 1)
        uv = np.zeros((60, 4, 2))
        uv[:, :, 0] = np.arange(60)[:, None] * 30 + np.array([30, 0, 0, 30])
        uv[:, 2:, 1] = 30
        self.parts.append(quads(corners, uv, _look("Vegetation", "leaves", (0.7, 0.85, 0.7))))


def _look_bush(rng: np.random.Generator) -> Mesh:
    return objects.bush(rng)


def _mirrored(mesh: Mesh) -> Mesh:
    """Left and right exchanged, front and back kept."""
    mesh.corners[..., 1] *= -1
    return mesh
