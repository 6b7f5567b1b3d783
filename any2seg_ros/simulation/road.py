"""The road's centre line, and surfaces and solids that follow it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from any2seg_ros.simulation.mesh import Look, Mesh, join, quads, vector


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line sampled every metre from `start` metres on: x, y, z, heading (radians).

    Street coordinates: s along the line, d to the left of it, h above it, all in metres.
    """

    start: float
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    heading: np.ndarray

    @classmethod
    def winding(
        cls, rng: np.random.Generator, start: float, end: float, bend: float, slope: float
    ) -> Road:
        """A line with curvature up to `bend` (1/m) and slope up to `slope`, s = 0 at the origin."""
        n = int(end - start) + 2
        knots = np.arange(0, n + 40, 40)
        along = np.arange(n)
        curvature = np.interp(along, knots, _calm(rng, len(knots)) * bend)
        slopes = np.interp(along, knots, _calm(rng, len(knots)) * slope)
        heading = np.cumsum(curvature)
        zero = int(-start)
        heading -= heading[zero]
        x, y, z = (np.cumsum(step) for step in (np.cos(heading), np.sin(heading), slopes))
        return cls(start, x - x[zero], y - y[zero], z - z[zero], heading)

    def at(self, s: np.ndarray | float) -> tuple[np.ndarray, ...]:
        """x, y, z and heading at s."""
        grid = self._grid
        return tuple(np.interp(s, grid, v) for v in (self.x, self.y, self.z, self.heading))

    @cached_property
    def _grid(self) -> np.ndarray:
        return np.arange(len(self.x)) + self.start

    def world(
        self, s: np.ndarray | float, d: np.ndarray | float, h: np.ndarray | float
    ) -> np.ndarray:
        """Points in the world, float64 (..., 3)."""
        x, y, z, heading = self.at(s)
        return np.stack([x - d * np.sin(heading), y + d * np.cos(heading), z + h], -1)

    def slope(self, s: float) -> float:
        """Rise per metre at s."""
        return float(self.at(s + 1.0)[2] - self.at(s - 1.0)[2]) / 2

    def pose(self, s: float, d: float, h: float = 0.0) -> tuple[float, float, float, float]:
        """x, y, z and heading of something that stands at (s, d)."""
        point = self.world(np.float64(s), np.float64(d), np.float64(h))
        return float(point[0]), float(point[1]), float(point[2]), float(self.at(s)[3])

    def put(self, mesh: Mesh, s: float, d: float, h: float = 0.0, turn: float = 0.0) -> Mesh:
        """The mesh at (s, d, h), turned by `turn` radians from the road's direction."""
        x, y, z, heading = self.pose(s, d, h)
        return mesh.placed(x, y, z, heading + turn)

    def row(self, mesh: Mesh, s: np.ndarray, d: float, h: float = 0.0) -> Mesh:
        """The same mesh at every s: posts, slats."""
        x, y, z, heading = self.at(s)
        c, n = np.cos(heading)[:, None, None], np.sin(heading)[:, None, None]
        local = mesh.corners + vector(0, d, h)
        corners = np.empty((len(s), *local.shape))
        corners[..., 0] = local[..., 0] * c - local[..., 1] * n + x[:, None, None]
        corners[..., 1] = local[..., 0] * n + local[..., 1] * c + y[:, None, None]
        corners[..., 2] = local[..., 2] + z[:, None, None]
        names = ("uv", "label", "material", "tint", "glow")
        rest = [np.concatenate([getattr(mesh, name)] * len(s)) for name in names]
        return Mesh(corners.reshape(-1, 3, 3).astype(np.float32), *rest)

    def profile(
        self, s0: float, s1: float, points: list[tuple[float, float]], look: Look, step: float = 3.0
    ) -> Mesh:
        """A surface from s0 to s1 whose cross-section goes through `points`, (d, h) each."""
        count = max(1, int(np.ceil((s1 - s0) / step)))
        s = np.linspace(s0, s1, count + 1)
        parts, offset = [], 0.0
        for (d0, h0), (d1, h1) in zip(points, points[1:], strict=False):
            width = float(np.hypot(d1 - d0, h1 - h0))
            left = self.world(s, np.full_like(s, d0), np.full_like(s, h0))
            right = self.world(s, np.full_like(s, d1), np.full_like(s, h1))
            corners = np.stack([left[:-1], left[1:], right[1:], right[:-1]], 1)
            uv = np.zeros((count, 4, 2))
            uv[:, [0, 3], 0], uv[:, [1, 2], 0] = s[:-1, None], s[1:, None]
            uv[:, :2, 1], uv[:, 2:, 1] = offset, offset + width
            parts.append(quads(corners, uv, look))
            offset += width
        return join(parts)

    def bar(
        self, s0: float, s1: float, d: float, h0: float, h1: float, width: float, look: Look
    ) -> Mesh:
        """An upright bar of a width from s0 to s1, from h0 to h1, with its ends closed."""
        a, b = d - width / 2, d + width / 2
        sides = self.profile(s0, s1, [(a, h0), (a, h1), (b, h1), (b, h0)], look)
        ends = []
        for s in (s0, s1):
            at = np.full(4, s)
            corners = self.world(at, np.array([a, b, b, a]), np.array([h0, h0, h1, h1]))
            uv = np.array([[0, 0], [width, 0], [width, h1 - h0], [0, h1 - h0]])
            ends.append(quads(corners[None], uv[None], look))
        return join([sides, *ends])

    def patch(self, s0: float, s1: float, d0: float, d1: float, h: float, look: Look) -> Mesh:
        """A flat piece of surface, its texture along d: side roads, zebra crossings."""
        count = max(1, int(np.ceil(abs(d1 - d0) / 4.0)))
        d = np.linspace(d0, d1, count + 1)
        near = self.world(np.full_like(d, s0), d, np.full_like(d, h))
        far = self.world(np.full_like(d, s1), d, np.full_like(d, h))
        corners = np.stack([near[:-1], far[:-1], far[1:], near[1:]], 1)
        uv = np.zeros((count, 4, 2))
        uv[:, [0, 1], 0], uv[:, [2, 3], 0] = d[:-1, None], d[1:, None]
        uv[:, [1, 2], 1] = s1 - s0
        return quads(corners, uv, look)


def _calm(rng: np.random.Generator, n: int) -> np.ndarray:
    """Values in -1..1, a third of them near zero: straights between bends."""
    return np.where(rng.uniform(size=n) < 0.35, 0.0, rng.uniform(-1.0, 1.0, n))
