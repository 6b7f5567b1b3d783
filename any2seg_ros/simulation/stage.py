"""A town that can be looked at: rays into its still part and into what moves at one time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from any2seg_ros.modalities import Camera
from any2seg_ros.simulation.mesh import Mesh, vector
from any2seg_ros.simulation.town import Mover, Town

FAR = np.float32(1e30)
_BEHIND, _AHEAD = 12.0, 85.0


@dataclass(frozen=True, eq=False)
class Faces:
    """What shading needs of triangles: shape float32 (f, 16) and label, material int32 (f,).

    Columns of shape: uv of the first corner, the edges' uv (2 + 2), normal (3), tint (3), glow,
    moves (0 or 1), two of padding so that a face is one cache line.
    """

    shape: np.ndarray
    label: np.ndarray
    material: np.ndarray

    @classmethod
    def of(cls, mesh: Mesh, moves: bool) -> Faces:
        """The table of a mesh."""
        shape = np.zeros((len(mesh), 16), np.float32)
        shape[:, 0:2] = mesh.uv[:, 0]
        shape[:, 2:4] = mesh.uv[:, 1] - mesh.uv[:, 0]
        shape[:, 4:6] = mesh.uv[:, 2] - mesh.uv[:, 0]
        a, b = mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0]
        normal = np.cross(a, b)
        length = np.sqrt(np.square(normal).sum(1, keepdims=True))
        shape[:, 6:9] = normal / np.maximum(length, 1e-12)
        shape[:, 9:12] = mesh.tint
        shape[:, 12] = mesh.glow
        shape[:, 13] = moves
        return cls(shape, mesh.label.astype(np.int32), mesh.material.astype(np.int32))


@dataclass(frozen=True, eq=False)
class Hits:
    """Where n rays end: distance float32 (n,) in units of their direction, FAR for the sky; face
    int32 (n,), -1 for the sky; u and v float32 (n,), barycentric."""

    distance: np.ndarray
    face: np.ndarray
    u: np.ndarray
    v: np.ndarray


def _tracer(mesh: Mesh) -> rtcore_scene.EmbreeScene | None:
    if not len(mesh):
        return None
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(mesh.corners, np.float32))
    return scene


@dataclass(frozen=True, eq=False)
class _Actor:
    """A mover with rays of its own: its mesh never changes, rays are moved into its frame."""

    tracer: rtcore_scene.EmbreeScene
    faces: Faces
    center: np.ndarray
    radius: float
    box: np.ndarray
    """Corners of the box around it, float32 (8, 3); corner k's bits choose x, y and z."""

    @classmethod
    def of(cls, mover: Mover) -> _Actor:
        points = mover.mesh.corners.reshape(-1, 3)
        low, high = points.min(0), points.max(0)
        center = (low + high) / 2
        radius = float(np.sqrt(np.square(points - center).sum(1).max()))
        tracer = _tracer(mover.mesh)
        assert tracer is not None
        bits = np.arange(8)[:, None] >> np.arange(3) & 1
        box = np.where(bits, high + 0.01, low - 0.01).astype(np.float32)
        return cls(tracer, Faces.of(mover.mesh, True), center, radius, box)


@dataclass(frozen=True, eq=False)
class _Placed:
    """An actor at one time: turn float32 (3, 3) and place float32 (3,) map it into the world."""

    actor: _Actor
    turn: np.ndarray
    place: np.ndarray
    first: int

    @property
    def center(self) -> np.ndarray:
        """Middle of the sphere around it, in the world."""
        return self.place + self.turn @ self.actor.center

    def local(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays in the actor's frame."""
        return self._turned(origins - self.place), self._turned(directions)

    def _turned(self, vectors: np.ndarray) -> np.ndarray:
        # Actors turn about z only.
        c, s = self.turn[0, 0], self.turn[1, 0]
        x, y = vectors[:, 0], vectors[:, 1]
        turned = np.empty_like(vectors)
        turned[:, 0] = x * c + y * s
        turned[:, 1] = y * c - x * s
        turned[:, 2] = vectors[:, 2]
        return turned


@dataclass(frozen=True, eq=False)
class Eye:
    """Rays of all pixels of a pinhole camera in order of rows: finds who is where in its image."""

    camera: Camera
    world_from_optical: np.ndarray

    def meeting(self, placed: Sequence[_Placed]) -> Iterator[tuple[_Placed, np.ndarray]]:
        """Actors that may be seen, with the numbers of the pixels in the rectangle around each."""
        for one, (x0, y0, x1, y1) in zip(placed, self._rectangles(placed), strict=True):
            if x0 < x1 and y0 < y1:
                rows = np.arange(y0, y1)[:, None] * self.camera.width
                yield one, (rows + np.arange(x0, x1)).ravel()

    def _rectangles(self, placed: Sequence[_Placed]) -> list[list[int]]:
        """First and last pixels x0, y0, x1, y1 of every actor's box; empty where it is behind."""
        rotation, place = self.world_from_optical[:3, :3], self.world_from_optical[:3, 3]
        boxes = np.stack([one.actor.box for one in placed]).astype(np.float64)
        turns = np.stack([one.turn for one in placed])
        places = np.stack([one.place for one in placed]) - place
        corners = (np.einsum("mij,mkj->mki", turns, boxes) + places[:, None]) @ rotation
        # Where edges of boxes pass the eye's plane they are cut.
        a, b = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
        front_a, front_b = a[..., 2] > _NEAR, b[..., 2] > _NEAR
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = a + ((_NEAR - a[..., 2]) / (b[..., 2] - a[..., 2]))[..., None] * (b - a)
        cut[front_a == front_b] = np.nan
        points = np.concatenate([corners, cut], 1)
        points[:, :8][corners[..., 2] <= _NEAR] = np.nan
        camera = self.camera
        u = np.clip(camera.fx * points[..., 0] / points[..., 2] + camera.cx, -2, camera.width)
        v = np.clip(camera.fy * points[..., 1] / points[..., 2] + camera.cy, -2, camera.height)
        low = [np.fmin.reduce(c, 1, initial=np.inf) for c in (u, v)]
        high = [np.fmax.reduce(c, 1, initial=-np.inf) for c in (u, v)]
        first = np.maximum(np.floor(np.minimum(low, 1e6)), 0)
        last = np.minimum(np.floor(np.maximum(high, -1e6)) + 2, [[camera.width], [camera.height]])
        return np.concatenate([first, last]).T.astype(int).tolist()


_EDGES = np.array([(k, k | 1 << bit) for k in range(8) for bit in range(3) if not k >> bit & 1])
_NEAR = 1e-3


class _Loose:
    """Unit rays from anywhere, relative to the first origin."""

    def __init__(self, origins: np.ndarray, directions: np.ndarray) -> None:
        self._zero, self._directions = origins[0].copy(), directions
        self._origins = origins - self._zero
        self._along = np.einsum("ij,ij->i", self._origins, directions)
        self._square = np.einsum("ij,ij->i", self._origins, self._origins)

    def meeting(self, placed: Sequence[_Placed]) -> Iterator[tuple[_Placed, np.ndarray]]:
        """Actors, each with the numbers of the rays that pass the sphere around it."""
        for one in placed:
            yield one, self._passing(one)

    def _passing(self, one: _Placed) -> np.ndarray:
        center = (one.center - self._zero).astype(np.float32)
        reach = one.actor.radius * 1.01 + 0.02
        along = self._directions @ center
        along -= self._along
        distance = self._square - np.float32(2) * (self._origins @ center)
        distance -= np.square(along)
        limit = np.float32(reach * reach - float(center @ center))
        return np.flatnonzero((distance < limit) & (along > np.float32(-reach)))


class _Parallel:
    """Rays of one direction: who is near them is seen in a plane across it."""

    def __init__(self, origins: np.ndarray, direction: np.ndarray) -> None:
        side = np.cross(direction, vector(0, 0, 1))
        side /= np.sqrt(np.square(side).sum())
        self._plane = np.stack([side, np.cross(direction, side)]).astype(np.float32)
        self._zero = origins[0].copy()
        self._a, self._b = self._plane @ (origins - self._zero).T

    def meeting(self, placed: Sequence[_Placed]) -> Iterator[tuple[_Placed, np.ndarray]]:
        """Actors, each with the numbers of the rays whose line passes the sphere around it."""
        for one in placed:
            yield one, self._passing(one)

    def _passing(self, one: _Placed) -> np.ndarray:
        a, b = self._plane @ (one.center - self._zero).astype(np.float32)
        reach = np.float32(one.actor.radius * 1.01 + 0.02)
        return np.flatnonzero(np.square(self._a - a) + np.square(self._b - b) < reach * reach)


class Snapshot:
    """The town at one time."""

    def __init__(
        self, still: rtcore_scene.EmbreeScene, still_faces: Faces, placed: list[_Placed]
    ) -> None:
        self._still, self._placed = still, placed
        shapes = [still_faces.shape]
        for one in placed:
            shape = one.actor.faces.shape.copy()
            shape[:, 6:9] = shape[:, 6:9] @ one.turn.T
            shapes.append(shape)
        moving = [one.actor.faces for one in placed]
        self.faces = Faces(
            np.concatenate(shapes),
            np.concatenate([still_faces.label, *(f.label for f in moving)]),
            np.concatenate([still_faces.material, *(f.material for f in moving)]),
        )

    def trace(self, origins: np.ndarray, directions: np.ndarray, eye: Eye | None = None) -> Hits:
        """The nearest surfaces along unit rays, origins and directions float32 (n, 3).

        `eye` says that they are all pixels of a camera, which is faster.
        """
        if not len(origins):
            nothing = np.zeros(0, np.float32)
            return Hits(nothing, np.zeros(0, np.int32), nothing, nothing)
        found = self._still.run(origins, directions, output=1)
        distance, face, u, v = found["tfar"], found["primID"], found["u"], found["v"]
        rays = eye or _Loose(origins, directions)
        for one, at in rays.meeting(self._placed) if self._placed else ():
            if not len(at):
                continue
            start, way = one.local(origins[at], directions[at])
            other = one.actor.tracer.run(start, way, dists=distance[at], output=1)
            near = np.flatnonzero(other["primID"] >= 0)
            if not len(near):
                continue
            at = at[near]
            distance[at], u[at], v[at] = other["tfar"][near], other["u"][near], other["v"][near]
            face[at] = other["primID"][near] + np.int32(one.first)
        distance[face < 0] = FAR
        return Hits(distance, face, u, v)

    def blocked(self, origins: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Whether anything stands in the way from n points towards a direction, bool (n,)."""
        directions = np.ascontiguousarray(np.broadcast_to(direction, origins.shape))
        shut = self._still.run(origins, directions, query="OCCLUDED") >= 0
        free = np.flatnonzero(~shut)
        if not len(free):
            return shut
        rays = _Parallel(origins[free], direction)
        for one, near in rays.meeting(self._placed):
            at = free[near]
            if len(at):
                start, way = one.local(origins[at], directions[at])
                shut[at] |= one.actor.tracer.run(start, way, query="OCCLUDED") >= 0
        return shut


class Stage:
    """Builds the snapshots of a town."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self._still = _tracer(town.still)
        self._faces = Faces.of(town.still, False)
        self._actors: dict[int, _Actor] = {}
        self._starts = np.array(
            [(m.s, m.speed, m.d, m.across, m.h, m.turn) for m in town.movers]
        ).reshape(-1, 6)

    def at(self, seconds: float, s: float) -> Snapshot:
        """The town at a time, with what moves near a vehicle at s."""
        placed, first = [], len(self._faces.label)
        along = self._starts[:, 0] + self._starts[:, 1] * seconds
        near = np.flatnonzero((along - s > -_BEHIND) & (along - s < _AHEAD))
        along = along[near]
        across = self._starts[near, 2] + self._starts[near, 3] * seconds
        places = self.town.road.world(along, across, self._starts[near, 4]).astype(np.float32)
        angles = self.town.road.at(along)[3] + self._starts[near, 5]
        for number, place, c, sn in zip(
            near.tolist(), places, np.cos(angles).tolist(), np.sin(angles).tolist(), strict=True
        ):
            if number not in self._actors:
                self._actors[number] = _Actor.of(self.town.movers[number])
            actor = self._actors[number]
            turn = np.array([[c, -sn, 0], [sn, c, 0], [0, 0, 1]], np.float32)
            placed.append(_Placed(actor, turn, place, first))
            first += len(actor.faces.label)
        return Snapshot(self._still, self._faces, placed)
