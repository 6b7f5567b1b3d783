"""Triangle meshes with class, material and colour, and primitive solids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin

import numpy as np

from any2seg_ros.loops import compiled

Color = tuple[float, float, float]
COLUMNS = 21
"""Columns of a triangle: see Mesh."""


@dataclass(frozen=True)
class Appearance:
    """Class id, material number, tint (factor on the texture) and emission of a surface."""

    label: int
    material: int
    tint: Color = (1.0, 1.0, 1.0)
    emission: float = 0.0

    @property
    def numbers(self) -> tuple[float, ...]:
        """Its six columns in a Mesh."""
        return (self.label, self.material, *self.tint, self.emission)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle soup.

    rows float32 (n, 21): three corners in metres (9), their uv in metres (6), label, material,
    tint (3), emission. The properties are views of it.
    """

    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def corners(self) -> np.ndarray:
        """Corners (n, 3, 3) in metres."""
        return self.rows[:, :9].reshape(-1, 3, 3)

    @property
    def label(self) -> np.ndarray:
        """Class ids, (n,)."""
        return self.rows[:, 15]

    @property
    def material(self) -> np.ndarray:
        """Material numbers, (n,)."""
        return self.rows[:, 16]

    @property
    def tint(self) -> np.ndarray:
        """Factors on red, green and blue, (n, 3)."""
        return self.rows[:, 17:20]

    def placed(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """A copy, rotated about z by `yaw` radians, then translated."""
        c, s = cos(yaw), sin(yaw)
        return Mesh(_moved(self.rows, np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1.0, z]])))

    def rotated(self, matrix: np.ndarray, pivot: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
        """A copy, rotated by a matrix (3, 3) about a pivot."""
        pose = np.empty((3, 4))
        pose[:, :3], pose[:, 3] = matrix, pivot - matrix @ pivot
        return Mesh(_moved(self.rows, pose))


@compiled
def _moved(rows, pose):
    moved = rows.copy()
    for i in range(len(rows)):
        for k in range(0, 9, 3):
            x, y, z = rows[i, k], rows[i, k + 1], rows[i, k + 2]
            for axis in range(3):
                moved[i, k + axis] = (
                    pose[axis, 0] * x + pose[axis, 1] * y + pose[axis, 2] * z + pose[axis, 3]
                )
    return moved


def vector(*values: float) -> np.ndarray:
    """The values as float32 (n,)."""
    return np.array(values, np.float32)


def join(meshes: Iterable[Mesh]) -> Mesh:
    """One mesh of all triangles."""
    parts = [mesh.rows for mesh in meshes]
    return Mesh(np.concatenate(parts) if parts else np.zeros((0, COLUMNS), np.float32))


def about_y(angle: float) -> np.ndarray:
    """Rotation (3, 3) about y; positive angles lower the front."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _soup(corners: np.ndarray, uv: np.ndarray, appearance: Appearance) -> Mesh:
    n = len(corners)
    rows = np.empty((n, COLUMNS), np.float32)
    rows[:, :9], rows[:, 9:15] = corners.reshape(n, 9), uv.reshape(n, 6)
    rows[:, 15:] = appearance.numbers
    return Mesh(rows)


_SPLIT = ([0, 1, 2], [0, 2, 3])
"""The two triangles of a quadrilateral."""


def quads(corners: np.ndarray, uv: np.ndarray, appearance: Appearance) -> Mesh:
    """Quadrilaterals (n, 4, 3) with uv (n, 4, 2); corners counter-clockwise from outside."""
    return _soup(corners[:, _SPLIT].reshape(-1, 3, 3), uv[:, _SPLIT].reshape(-1, 3, 2), appearance)


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
    appearance: Appearance,
    taper: tuple[float, float] = (1.0, 1.0),
    top: Appearance | None = None,
) -> Mesh:
    """A box; `taper` scales length and width at the top; `top` is the appearance of the lid."""
    rows = _box(np.array((*size, *center, *taper, *appearance.numbers), float))
    if top is not None:
        rows[8:10, 15:] = top.numbers
    return Mesh(rows)


_UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


@compiled
def _box(numbers):
    """Mesh rows of a box from (size, center, taper, appearance)."""
    rows = np.empty((12, COLUMNS), np.float32)
    for row in range(12):
        side = row // 2
        across, down = (1, 2) if side < 2 else (0, 2) if side < 4 else (0, 1)
        for k in range(3):
            corner = k + row % 2 if k else 0
            place = _SIDES[side, corner]
            for axis in range(3):
                taper = numbers[6 + axis] if place[2] > 0 and axis < 2 else 1.0
                reach = place[axis] * numbers[axis] / 2 * taper
                rows[row, 3 * k + axis] = numbers[3 + axis] + reach
            rows[row, 9 + 2 * k] = _UNIT[corner, 0] * numbers[across]
            rows[row, 10 + 2 * k] = _UNIT[corner, 1] * numbers[down]
        rows[row, 15:] = numbers[8:]
    return rows


def column(
    radius: float,
    height: float,
    appearance: Appearance,
    center: tuple[float, float, float] = (0.0, 0.0, 0.0),
    sides: int = 6,
    top_radius: float | None = None,
    axis: str = "z",
) -> Mesh:
    """A closed prism: standing on `center`, or along x or y with its middle at `center`."""
    top = radius if top_radius is None else top_radius
    numbers = np.array((radius, top, height, *center, *appearance.numbers), float)
    return Mesh(_prism(numbers, sides, "xyz".index(axis)))


@compiled
def _prism(numbers, sides, axis):
    """Mesh rows of a prism from (bottom radius, top radius, height, center, appearance)."""
    rows = np.empty((4 * sides, COLUMNS), np.float32)
    radius, top, height = numbers[0], numbers[1], numbers[2]
    for side in range(sides):
        a, b = 2 * pi * side / sides, 2 * pi * (side + 1) / sides
        foot, end = (radius, a, 0.0), (radius, b, 0.0)
        above, last = (top, a, height), (top, b, height)
        _put_corners(rows[2 * side], foot, end, last, radius)
        _put_corners(rows[2 * side + 1], foot, last, above, radius)
        _put_corners(rows[2 * sides + side], (0.0, a, height), above, last, -1.0)
        _put_corners(rows[3 * sides + side], (0.0, a, 0.0), end, foot, -1.0)
    lying = 0.0 if axis == 2 else height / 2
    for row in rows:
        for k in range(0, 9, 3):
            x, y, z = row[k], row[k + 1], row[k + 2] - lying
            if axis == 0:
                x, y, z = z, x, y
            elif axis == 1:
                x, y, z = y, z, x
            row[k], row[k + 1], row[k + 2] = x + numbers[3], y + numbers[4], z + numbers[5]
        row[15:] = numbers[6:]
    return rows


@compiled
def _put_corners(row, a, b, c, around):
    """Set corners given as (radius, angle, height); uv wraps around a wall, or is flat if < 0."""
    for k, (size, angle, z) in enumerate((a, b, c)):
        x, y = size * cos(angle), size * sin(angle)
        row[3 * k], row[3 * k + 1], row[3 * k + 2] = x, y, z
        row[9 + 2 * k] = x if around < 0 else angle * around
        row[10 + 2 * k] = y if around < 0 else z


@lru_cache(maxsize=4)
def _sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vertices (v, 3) and faces (f, 3) of a subdivided octahedron."""
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
    appearance: Appearance,
    rough: float = 0.0,
    rng: np.random.Generator | None = None,
    subdivisions: int = 2,
) -> Mesh:
    """An ellipsoid, its vertices displaced by up to `rough` of the radius: crowns, rocks, heads."""
    directions, faces = _sphere(subdivisions)
    swell = np.ones(len(directions))
    if rough and rng is not None:
        swell += rough * rng.uniform(-1.0, 1.0, len(directions))
    numbers = np.array((*radii, *center, *appearance.numbers), float)
    return Mesh(_blob(directions, faces, swell, numbers))


@compiled
def _blob(directions, faces, swell, numbers):
    """Mesh rows of an ellipsoid from (radii, center, appearance)."""
    rows = np.empty((len(faces), COLUMNS), np.float32)
    size = numbers[:3].max()
    for i in range(len(faces)):
        for k in range(3):
            point = faces[i, k]
            x, y, z = directions[point, 0], directions[point, 1], directions[point, 2]
            for axis in range(3):
                reach = directions[point, axis] * swell[point] * numbers[axis]
                rows[i, 3 * k + axis] = numbers[3 + axis] + reach
            rows[i, 9 + 2 * k] = np.arctan2(y, x) * size
            rows[i, 10 + 2 * k] = z * 1.6 * size
        rows[i, 15:] = numbers[6:]
    return rows
