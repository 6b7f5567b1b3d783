"""The road: its centre line, and surfaces that follow it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import cos, sin, sqrt

import numpy as np

from any2seg_ros.loops import compiled
from any2seg_ros.simulation.mesh import COLUMNS, Appearance, Mesh, join, quads


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line sampled every metre, from s = `start`: x, y, z (m) and heading (rad).

    Road coordinates in metres: s along the line, d to the left, h up.
    """

    start: float
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    heading: np.ndarray

    @classmethod
    def random(
        cls, rng: np.random.Generator, start: float, end: float, bend: float, slope: float
    ) -> Road:
        """A random line through the origin at s = 0: curvature (1/m) and slope up to the limits."""
        n = int(end - start) + 2
        knots = np.arange(0, n + 40, 40)
        along = np.arange(n)
        curvature = np.interp(along, knots, _bends(rng, len(knots)) * bend)
        slopes = np.interp(along, knots, _bends(rng, len(knots)) * slope)
        heading = np.cumsum(curvature)
        zero = int(-start)
        heading -= heading[zero]
        x, y, z = (np.cumsum(step) for step in (np.cos(heading), np.sin(heading), slopes))
        return cls(start, x - x[zero], y - y[zero], z - z[zero], heading)

    def at(self, s: np.ndarray | float) -> tuple[np.ndarray, ...]:
        """x, y, z and heading at s."""
        places = np.asarray(s, float)
        found = _at(self._table, self.start, places.ravel())
        return tuple(column.reshape(places.shape) for column in found)

    @cached_property
    def _table(self) -> np.ndarray:
        return np.stack([self.x, self.y, self.z, self.heading])

    def world(
        self, s: np.ndarray | float, d: np.ndarray | float, h: np.ndarray | float
    ) -> np.ndarray:
        """World points float64 (..., 3) of road coordinates."""
        x, y, z, heading = self.at(s)
        return np.stack([x - d * np.sin(heading), y + d * np.cos(heading), z + h], -1)

    def slope(self, s: float) -> float:
        """Rise per metre at s."""
        return float(self.at(s + 1.0)[2] - self.at(s - 1.0)[2]) / 2

    def pose(self, s: float, d: float, h: float = 0.0) -> tuple[float, float, float, float]:
        """World x, y, z and heading at (s, d, h)."""
        x, y, z, heading = _at(self._table, self.start, np.array([s], float))[:, 0].tolist()
        return x - d * sin(heading), y + d * cos(heading), z + h, heading

    def put(self, mesh: Mesh, s: float, d: float, h: float = 0.0, turn: float = 0.0) -> Mesh:
        """The mesh at (s, d, h), rotated by `turn` radians from the road's heading."""
        x, y, z, heading = self.pose(s, d, h)
        return mesh.placed(x, y, z, heading + turn)

    def row(self, mesh: Mesh, s: np.ndarray, d: float, h: float = 0.0) -> Mesh:
        """Copies of a mesh at each s (n,): posts, slats."""
        x, y, z, heading = (v[:, None, None] for v in self.at(s))
        rows = np.tile(mesh.rows, (len(s), 1))
        corners = rows[:, :9].reshape(len(s), len(mesh), 3, 3)
        along, across = mesh.corners[..., 0], mesh.corners[..., 1] + d
        c, n = np.cos(heading), np.sin(heading)
        corners[..., 0] = along * c - across * n + x
        corners[..., 1] = along * n + across * c + y
        corners[..., 2] += z + h
        return Mesh(rows)

    def profile(
        self,
        s0: float,
        s1: float,
        points: list[tuple[float, float]],
        appearance: Appearance,
        step: float = 3.0,
    ) -> Mesh:
        """A surface from s0 to s1 with the cross-section `points`, (d, h) each."""
        count = max(1, int(np.ceil((s1 - s0) / step)))
        places = _at(self._table, self.start, np.linspace(s0, s1, count + 1))
        numbers = np.array(appearance.numbers, float)
        return Mesh(_strips(places, float(s0), float(s1), np.array(points, float), numbers))

    def bar(
        self,
        s0: float,
        s1: float,
        d: float,
        h0: float,
        h1: float,
        width: float,
        appearance: Appearance,
    ) -> Mesh:
        """A closed wall from s0 to s1 and from h0 to h1, centred at d."""
        a, b = d - width / 2, d + width / 2
        sides = self.profile(s0, s1, [(a, h0), (a, h1), (b, h1), (b, h0)], appearance)
        ends = []
        for s in (s0, s1):
            at = np.full(4, s)
            corners = self.world(at, np.array([a, b, b, a]), np.array([h0, h0, h1, h1]))
            uv = np.array([[0, 0], [width, 0], [width, h1 - h0], [0, h1 - h0]])
            ends.append(quads(corners[None], uv[None], appearance))
        return join([sides, *ends])

    def patch(
        self, s0: float, s1: float, d0: float, d1: float, h: float, appearance: Appearance
    ) -> Mesh:
        """A flat surface textured along d: side roads, markings across the road."""
        count = max(1, int(np.ceil(abs(d1 - d0) / 4.0)))
        d = np.linspace(d0, d1, count + 1)
        near = self.world(np.full_like(d, s0), d, np.full_like(d, h))
        far = self.world(np.full_like(d, s1), d, np.full_like(d, h))
        corners = np.stack([near[:-1], far[:-1], far[1:], near[1:]], 1)
        uv = np.zeros((count, 4, 2))
        uv[:, [0, 1], 0], uv[:, [2, 3], 0] = d[:-1, None], d[1:, None]
        uv[:, [1, 2], 1] = s1 - s0
        return quads(corners, uv, appearance)


def _bends(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random values in -1..1, about a third of them 0: straights between bends."""
    return np.where(rng.uniform(size=n) < 0.35, 0.0, rng.uniform(-1.0, 1.0, n))


@compiled
def _at(table, start, s):
    """x, y, z and heading float64 (4, n) at s float64 (n,), clamped to the ends."""
    last = table.shape[1] - 1
    found = np.empty((4, len(s)))
    for k in range(len(s)):
        place = min(max(s[k] - start, 0.0), float(last))
        i = min(int(place), last - 1)
        share = place - i
        for row in range(4):
            found[row, k] = table[row, i] + (table[row, i + 1] - table[row, i]) * share
    return found


@compiled
def _strips(places, s0, s1, points, appearance):
    """Mesh rows of the quadrilaterals between neighbouring `places` (4, n) and `points` (m, 2)."""
    count = places.shape[1] - 1
    rows = np.empty((2 * count * (len(points) - 1), COLUMNS), np.float32)
    row, offset = 0, 0.0
    for side in range(len(points) - 1):
        wide, high = points[side + 1, 0] - points[side, 0], points[side + 1, 1] - points[side, 1]
        width = sqrt(wide * wide + high * high)
        for k in range(count):
            for half in range(2):
                for corner in range(3):
                    # Near left, far left, far right, near right.
                    number = corner + half if corner else 0
                    right = number > 1
                    i = k + (1 if 0 < number < 3 else 0)
                    d, h = points[side + right, 0], points[side + right, 1]
                    heading = places[3, i]
                    rows[row, 3 * corner] = places[0, i] - d * sin(heading)
                    rows[row, 3 * corner + 1] = places[1, i] + d * cos(heading)
                    rows[row, 3 * corner + 2] = places[2, i] + h
                    rows[row, 9 + 2 * corner] = s0 + (s1 - s0) * i / count
                    rows[row, 10 + 2 * corner] = offset + width * right
                rows[row, 15:] = appearance
                row += 1
        offset += width
    return rows
