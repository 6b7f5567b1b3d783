"""The town at one time, for ray casting: the static part and the movers at their poses."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from any2seg_ros.loops import compiled
from any2seg_ros.simulation.mesh import Mesh, join
from any2seg_ros.simulation.rays import Bvh, Instances
from any2seg_ros.simulation.town import Town

_BEHIND, _AHEAD = 12.0, 85.0


class Faces(NamedTuple):
    """Per-triangle data for shading: shape float32 (f, 16); label and material int32 (f,).

    Columns of shape: uv of the first corner (2), uv of both edges (4), normal (3), tint (3),
    emission, and 3 of padding so that a face fills one cache line.
    """

    shape: np.ndarray
    label: np.ndarray
    material: np.ndarray

    @classmethod
    def of(cls, still: Mesh, moving: Mesh) -> Faces:
        """Static triangles first, then those of the movers, each in its own frame."""
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
    """Hits of n rays.

    distance float32 (n,) in metres, inf for sky; face int32 (n,), -1 for sky; instance int32 (n,)
    of the snapshot, -1 for sky; barycentric float32 (n, 2).
    """

    distance: np.ndarray
    face: np.ndarray
    instance: np.ndarray
    barycentric: np.ndarray

    def take(self, at: np.ndarray) -> Hits:
        """The hits of the rays `at`."""
        return Hits(*(column[at] for column in self))


class Snapshot:
    """The town at one time.

    faces: of the whole town; turns float32 (instances, 2): cosine and sine of each heading.
    """

    def __init__(self, instances: Instances, faces: Faces, turns: np.ndarray) -> None:
        self._instances, self.faces, self.turns = instances, faces, turns

    def trace(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The first hit of each unit ray.

        Origins float32 (n, 3), or (1, 3) if shared; directions float32 (n, 3).
        """
        return Hits(*self._instances.trace(origins, directions))

    def blocked(self, origins: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Whether the ray from each point (n, 3) in `direction` (3,) hits anything, bool (n,)."""
        return self._instances.blocked(origins, direction)


class SnapshotBuilder:
    """Makes the snapshots of a town; BVHs are built once."""

    def __init__(self, town: Town) -> None:
        self.town = town
        meshes = [mover.mesh for mover in town.movers]
        self._faces = Faces.of(town.still, join(meshes))
        self._still = Bvh(town.still.corners)
        self._movers: dict[int, Bvh] = {}
        counts = [len(town.still), *(len(mesh) for mesh in meshes)]
        self._first = np.cumsum([0, *counts]).astype(np.int32)
        self._starts = np.array(
            [(m.s, m.speed, m.d, m.across, m.h, m.turn) for m in town.movers]
        ).reshape(-1, 6)

    def at(self, seconds: float, s: float) -> Snapshot:
        """The town at `seconds`, with the movers near a vehicle at s (m)."""
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
        bvhs = [self._still, *(self._mover(number) for number in near.tolist())]
        first = self._first[np.concatenate([[0], near + 1])]
        return Snapshot(Instances(bvhs, poses, first), self._faces, turns)

    def _mover(self, number: int) -> Bvh:
        if number not in self._movers:
            self._movers[number] = Bvh(self.town.movers[number].mesh.corners)
        return self._movers[number]
