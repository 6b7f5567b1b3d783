"""A street under construction: its dimensions, meshes, movers and lamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from any2seg_ros.simulation import objects
from any2seg_ros.simulation.mesh import Mesh
from any2seg_ros.simulation.objects import surface
from any2seg_ros.simulation.road import Road

Range = tuple[float, float]


@dataclass(frozen=True)
class TownSettings:
    """Ranges of the town generator; train and val share one set, test has its own."""

    lane_width: Range = (3.0, 3.7)
    sidewalk: Range = (2.2, 3.6)
    lanes: tuple[int, ...] = (1, 1, 2)
    bend: float = 0.012
    slope: float = 0.05
    floors: tuple[int, int] = (2, 6)
    spacing: Range = (2.6, 6.0)
    """Metres between pieces of street furniture."""
    parked: float = 0.45
    """Share of parking spaces taken."""
    traffic: Range = (11.0, 26.0)
    """Metres between the vehicles of a lane."""
    walkers: Range = (3.5, 11.0)
    """Metres between pedestrians on a sidewalk."""
    hue: Range = (0.92, 1.08)
    """Factor on red, green and blue, drawn per town and channel."""
    camera_height: Range = (1.45, 1.75)
    speed: Range = (3.5, 9.5)


TEST_SETTINGS = TownSettings(
    lane_width=(2.7, 4.2), sidewalk=(1.7, 4.5), lanes=(1, 2), bend=0.017, slope=0.075,
    floors=(1, 9), spacing=(2.0, 8.0), parked=0.65, traffic=(9.0, 32.0), walkers=(2.5, 14.0),
    hue=(0.82, 1.18), camera_height=(1.3, 2.1), speed=(2.5, 12.0),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mover:
    """A moving object: at t seconds it is at (s + speed t, d + across t, h), rotated by `turn`."""

    mesh: Mesh
    s: float
    d: float
    speed: float
    across: float
    turn: float
    h: float = 0.0


class Site:
    """The dimensions of a street, drawn first, and what builders add: meshes, movers, lamps.

    All builders draw from one `rng`, so the order of their calls is part of a seed's meaning.
    """

    def __init__(self, rng: np.random.Generator, settings: TownSettings, seconds: float) -> None:
        self.rng, self.settings = rng, settings
        self.speed = rng.uniform(*settings.speed)
        self.end = self.speed * seconds + 95.0
        self.parts: list[Mesh] = []
        self.movers: list[Mover] = []
        self.lamps: list[tuple[float, float, float]] = []
        self.road = Road.random(rng, -60.0, self.end + 130.0, settings.bend, settings.slope)
        self.lanes = int(rng.choice(settings.lanes))
        self.lane_width = rng.uniform(*settings.lane_width)
        self.half = self.lanes * self.lane_width
        self.sidewalk = rng.uniform(*settings.sidewalk)
        self.parking = {side: 2.1 if rng.uniform() < 0.5 else 0.0 for side in (-1, 1)}
        self.tram = rng.uniform() < 0.3
        self.crossings = self._places_of_crossings()
        self.river = self._place_of_river()
        gray = rng.uniform(0.75, 1.35)
        self.asphalt = surface("Road", "asphalt", (gray, gray, gray))

    def add(self, mesh: Mesh, s: float, d: float, h: float = 0.0, turn: float = 0.0) -> None:
        """Add a static mesh at (s, d, h), rotated by `turn` radians from the road's heading."""
        self.parts.append(self.road.put(mesh, s, d, h, turn))

    def edge(self, side: int) -> float:
        """Distance from the centre line to the kerb."""
        return self.half + self.parking[side]

    def at_crossing(self, s: float, margin: float) -> bool:
        """Whether an intersection is within `margin` metres of s."""
        return any(abs(s - c) < margin for c in self.crossings)

    def over_river(self, s: float) -> bool:
        """Whether the road crosses the river at s."""
        return self.river is not None and self.river[0] - 1 < s < self.river[1] + 1

    def walker(self, s: float, d: float, across: float = 0.0) -> None:
        """Add a pedestrian along the street, or crossing it at the speed `across` (m/s)."""
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

    def _places_of_crossings(self) -> list[float]:
        places, s = [], self.rng.uniform(12.0, 45.0)
        while s < self.end - 20:
            places.append(s)
            s += self.rng.uniform(65.0, 120.0)
        return places

    def _place_of_river(self) -> tuple[float, float] | None:
        if self.rng.uniform() > 0.5:
            return None
        s = self.rng.uniform(8.0, self.end - 60.0)
        return (s, s + self.rng.uniform(14.0, 26.0))
