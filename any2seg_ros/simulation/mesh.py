"""Triangles with a class, a material and a colour, and the solids that streets are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """How a surface shows itself: class id, material, colour that multiplies it, light it emits."""

    label: int
    material: int
    tint: Color = (1.0, 1.0, 1.0)
    glow: float = 0.0


@dataclass(frozen=True, eq=False)
class Mesh:
    """A soup of n triangles.

    corners float32 (n, 3, 3) in metres; uv float32 (n, 3, 2) in metres along the surface;
    label uint8 (n,); material int16 (n,); tint float32 (n, 3); glow float32 (n,).
    """

    corners: np.ndarray
    uv: np.ndarray
    label: np.ndarray
    material: np.ndarray
    tint: np.ndarray
    glow: np.ndarray

    def __len__(self) -> int:
        return len(self.corners)

    def placed(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """Turned about z by `yaw` radians, then moved."""
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        return replace(self, corners=(self.corners @ turn + (x, y, z)).astype(np.float32))

    def rotated(self, matrix: np.ndarray, pivot: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
        """Turned by a rotation matrix about a point."""
        corners = (self.corners - pivot) @ matrix.T + pivot
        return replace(self, corners=corners.astype(np.float32))


def vector(*values: float) -> np.ndarray:
    """float32 (n,)."""
    return np.array(values, np.float32)


def join(meshes: Iterable[Mesh]) -> Mesh:
    """All triangles of all meshes."""
    parts = [mesh for mesh in meshes if len(mesh)]
    names = ("corners", "uv", "label", "material", "tint", "glow")
    if not parts:
        return _soup(np.zeros((0, 3, 3)), np.zeros((0, 3, 2)), Look(0, 0))
    return Mesh(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def about_y(angle: float) -> np.ndarray:
    """Rotation about y: positive angles lower the front."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _soup(corners: np.ndarray, uv: np.ndarray, look: Look) -> Mesh:
    n = len(corners)
    return Mesh(
        np.asarray(corners, np.float32),
        np.asarray(uv, np.float32),
        np.full(n, look.label, np.uint8),
        np.full(n, look.material, np.int16),
        np.full((n, 3), look.tint, np.float32),
        np.full(n, look.glow, np.float32),
    )


_SPLIT = ([0, 1, 2], [0, 2, 3])
"""The two triangles of a quadrilateral."""


def quads(corners: np.ndarray, uv: np.ndarray, look: Look) -> Mesh:
    """Quadrilaterals (n, 4, 3) with uv (n, 4, 2), corners counter-clockwise seen from outside."""
    return _soup(corners[:, _SPLIT].reshape(-1, 3, 3), uv[:, _SPLIT].reshape(-1, 3, 2), look)


_SIDES = np.array(
    [
        [[1, -1, -1], [1, 1, -1], [1, 1, 1], [1, -1, 1]],
        [[-1, 1, -1], [-1, -1, -1], [-1, -1, 1], [-1, 1, 1]],
        [[1, 1, -1], [-1, 1, -1], [-1, 1, 1], [1, 1, 1]],
        [[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]],
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]],
    ],
    np.float32,
)


def box(
    size: tuple[float, float, float],
    center: tuple[float, float, float],
    look: Look,
    taper: tuple[float, float] = (1.0, 1.0),
    top: Look | None = None,
) -> Mesh:
    """A box; `taper` scales the top's length and width; `top` is another look of the upper side."""
    half = np.asarray(size, np.float32) / 2
    corners = _SIDES * half
    upper = _SIDES[..., 2] > 0
    corners[..., 0] = np.where(upper, corners[..., 0] * taper[0], corners[..., 0])
    corners[..., 1] = np.where(upper, corners[..., 1] * taper[1], corners[..., 1])
    lx, ly, lz = size
    spans = np.array([[ly, lz], [ly, lz], [lx, lz], [lx, lz], [lx, ly], [lx, ly]], np.float32)
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    uv = unit[None] * spans[:, None]
    corners = corners + np.asarray(center, np.float32)
    if top is None:
        return quads(corners, uv, look)
    sides = [0, 1, 2, 3, 5]
    return join([quads(corners[sides], uv[sides], look), quads(corners[4:5], uv[4:5], top)])


def column(
    radius: float,
    height: float,
    look: Look,
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
    sides: int = 6,
    top_radius: float | None = None,
    axis: str = "z",
) -> Mesh:
    """A prism that stands on `center`, closed on top; or lies along x or y through `center`."""
    corners, uv = _prism(radius, height, sides, radius if top_radius is None else top_radius)
    if axis == "x":
        corners = corners[..., [2, 0, 1]] - vector(height / 2, 0, 0)
    elif axis == "y":
        corners = corners[..., [1, 2, 0]] - vector(0, height / 2, 0)
    return _soup(corners + vector(*center), uv, look)


@lru_cache(maxsize=256)
def _prism(radius: float, height: float, sides: int, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners float32 (4 sides, 3, 3) and uv float32 (4 sides, 3, 2) of a prism along z."""
    angle = np.arange(sides + 1) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    wall, span = np.zeros((sides, 4, 3)), np.zeros((sides, 4, 2))
    for i, (size, k, z) in enumerate(
        [(radius, 0, 0.0), (radius, 1, 0.0), (top, 1, 1), (top, 0, 1)]
    ):
        wall[:, i, :2] = size * ring[k : k + sides]
        wall[:, i, 2] = z * height
        span[:, i, 0], span[:, i, 1] = angle[k : k + sides] * radius, z * height
    corners, uv = [wall[:, s] for s in _SPLIT], [span[:, s] for s in _SPLIT]
    for size, z, ends in ((top, height, (ring[:-1], ring[1:])), (radius, 0, (ring[1:], ring[:-1]))):
        fan = np.zeros((sides, 3, 3))
        fan[:, 1, :2], fan[:, 2, :2] = size * ends[0], size * ends[1]
        fan[..., 2] = z
        corners.append(fan)
        uv.append(fan[..., :2])
    return np.concatenate(corners).astype(np.float32), np.concatenate(uv).astype(np.float32)


@lru_cache(maxsize=4)
def _sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (v, 3) and faces (f, 3) of a subdivided octahedron."""
    points = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    vertices = [np.array(p, float) for p in points]
    faces = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    for _ in range(subdivisions):
        middle: dict[tuple[int, int], int] = {}

        def between(a: int, b: int, middle: dict[tuple[int, int], int] = middle) -> int:
            key = (min(a, b), max(a, b))
            if key not in middle:
                point = vertices[a] + vertices[b]
                vertices.append(point / np.linalg.norm(point))
                middle[key] = len(vertices) - 1
            return middle[key]

        split = []
        for a, b, c in faces:
            ab, bc, ca = between(a, b), between(b, c), between(c, a)
            split += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = split
    return np.array(vertices), np.array(faces)


def blob(
    radii: tuple[float, float, float],
    center: tuple[float, float, float],
    look: Look,
    rough: float = 0.0,
    rng: np.random.Generator | None = None,
    subdivisions: int = 2,
) -> Mesh:
    """An ellipsoid whose vertices move by up to `rough` of the radius: crowns, rocks, heads."""
    directions, faces = _sphere(subdivisions)
    swell = np.ones(len(directions))
    if rough and rng is not None:
        swell += rough * rng.uniform(-1.0, 1.0, len(directions))
    points = directions * swell[:, None] * radii + center
    size = max(radii)
    uv = (
        np.stack([np.arctan2(directions[:, 1], directions[:, 0]), directions[:, 2] * 1.6], 1) * size
    )
    return _soup(points[faces], uv[faces], look)
