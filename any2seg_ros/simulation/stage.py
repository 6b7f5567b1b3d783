"""A town that can be looked at: rays into its still part and into what moves at one time."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from any2seg_ros.loops import compiled
from any2seg_ros.simulation.mesh import Mesh, join
from any2seg_ros.simulation.rays import Group, Tree
from any2seg_ros.simulation.town import Town

_BEHIND, _AHEAD = 12.0, 85.0


class Faces(NamedTuple):
    """What shading needs of triangles: shape float32 (f, 16) and label, material int32 (f,).

    Columns of shape: uv of the first corner, the edges' uv (2 + 2), normal (3), tint (3), glow,
    three of padding so that a face is one cache line.
    """

    shape: np.ndarray
    label: np.ndarray
    material: np.ndarray

    @classmethod
    def of(cls, still: Mesh, moving: Mesh) -> Faces:
        """The table of what stands, and after it of what moves, in frames of its own."""
        rows = join([still, moving]).rows
        return cls(_shapes(rows), rows[:, 15].astype(np.int32), rows[:, 16].astype(np.int32))


@compiled
def _shapes(rows):
    shape = np.zeros((len(rows), 16), np.float32)
    for i in range(len(rows)):
        row = rows[i]
        for k in range(2):
            shape[i, k] = row[9 + k]
            shape[i, 2 + k], shape[i, 4 + k] = row[11 + k] - row[9 + k], row[13 + k] - row[9 + k]
        ax, ay, az = row[3] - row[0], row[4] - row[1], row[5] - row[2]
        bx, by, bz = row[6] - row[0], row[7] - row[1], row[8] - row[2]
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        length = max(sqrt(x * x + y * y + z * z), 1e-12)
        shape[i, 6], shape[i, 7], shape[i, 8] = x / length, y / length, z / length
        shape[i, 9:13] = row[17:21]
    return shape


class Hits(NamedTuple):
    """Where n rays end: distance float32 (n,) in metres, inf for the sky; face int32 (n,), -1 for
    the sky; tree int32 (n,), which of the snapshot's; place float32 (n, 2), barycentric."""

    distance: np.ndarray
    face: np.ndarray
    tree: np.ndarray
    place: np.ndarray

    def some(self, at: np.ndarray) -> Hits:
        """Those of some rays."""
        return Hits(*(column[at] for column in self))


class Snapshot:
    """The town at one time.

    faces: of the whole town; turns float32 (trees, 2), cosine and sine of every tree's heading.
    """

    def __init__(self, group: Group, faces: Faces, turns: np.ndarray) -> None:
        self._group, self.faces, self.turns = group, faces, turns

    def trace(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The nearest surfaces along unit rays.

        Origins float32 (n, 3), or (1, 3) where it is the same for all; directions float32 (n, 3).
        """
        return Hits(*self._group.trace(origins, directions))

    def blocked(self, origins: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Whether anything stands in the way from n points towards a direction, bool (n,)."""
        return self._group.blocked(origins, direction)


class Stage:
    """Builds the snapshots of a town."""

    def __init__(self, town: Town) -> None:
        self.town = town
        meshes = [mover.mesh for mover in town.movers]
        self._faces = Faces.of(town.still, join(meshes))
        self._still = Tree(town.still.corners)
        self._trees: dict[int, Tree] = {}
        counts = [len(town.still), *(len(mesh) for mesh in meshes)]
        self._first = np.cumsum([0, *counts]).astype(np.int32)
        self._starts = np.array(
            [(m.s, m.speed, m.d, m.across, m.h, m.turn) for m in town.movers]
        ).reshape(-1, 6)

    def at(self, seconds: float, s: float) -> Snapshot:
        """The town at a time, with what moves near a vehicle at s."""
        along = self._starts[:, 0] + self._starts[:, 1] * seconds
        near = np.flatnonzero((along - s > -_BEHIND) & (along - s < _AHEAD))
        along, starts = along[near], self._starts[near]
        across = starts[:, 2] + starts[:, 3] * seconds
        places = self.town.road.world(along, across, starts[:, 4])
        angles = np.concatenate([[0.0], self.town.road.at(along)[3] + starts[:, 5]])
        turns = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        poses = np.zeros((len(turns), 3, 4), np.float32)
        poses[:, 0, 0] = poses[:, 1, 1] = turns[:, 0]
        poses[:, 1, 0], poses[:, 0, 1] = turns[:, 1], -turns[:, 1]
        poses[:, 2, 2] = 1.0
        poses[1:, :, 3] = places
        trees = [self._still, *(self._tree(number) for number in near.tolist())]
        first = self._first[np.concatenate([[0], near + 1])]
        return Snapshot(Group(trees, poses, first), self._faces, turns)

    def _tree(self, number: int) -> Tree:
        if number not in self._trees:
            self._trees[number] = Tree(self.town.movers[number].mesh.corners)
        return self._trees[number]
