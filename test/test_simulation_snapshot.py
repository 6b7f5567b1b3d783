"""Snapshots: movers are where they are at the time, and their faces keep their numbers."""

from __future__ import annotations

import numpy as np

from any2seg_ros.simulation.mesh import Appearance, box
from any2seg_ros.simulation.road import Road
from any2seg_ros.simulation.site import Mover
from any2seg_ros.simulation.snapshot import Faces, SnapshotBuilder
from any2seg_ros.simulation.town import Town

AHEAD = np.float32([[1, 0, 0]])


def town() -> Town:
    """A straight road with a wall at x = 60 and a box that drives towards it from x = 20."""
    s = np.arange(-20, 101, dtype=float)
    road = Road(-20.0, s, 0 * s, 0 * s, 0 * s)
    wall = box((2, 20, 10), (61, 0, 0), Appearance(1, 0))
    cart = Mover(box((2, 2, 2), (0, 0, 0), Appearance(2, 0)), 20.0, 0.0, 5.0, 0.0, 0.0)
    return Town(road, wall, [cart], np.zeros((0, 3), np.float32), 0.0, 1.5, 5.0)


def seen(builder: SnapshotBuilder, seconds: float, s: float = 0.0) -> tuple[float, int]:
    """Distance and class straight ahead of the origin."""
    snapshot = builder.at(seconds, s)
    hits = snapshot.trace(np.zeros((1, 3), np.float32), AHEAD)
    return round(float(hits.distance[0]), 3), int(snapshot.faces.label[hits.face[0]])


def test_a_mover_is_where_it_is_at_the_time() -> None:
    builder = SnapshotBuilder(town())
    assert seen(builder, 0.0) == (19.0, 2)
    assert seen(builder, 2.0) == (29.0, 2)
    assert seen(builder, 0.0) == (19.0, 2)


def test_movers_far_from_the_vehicle_are_left_out() -> None:
    assert seen(SnapshotBuilder(town()), 0.0, s=50.0) == (60.0, 1)


def test_rays_into_the_sky_end_nowhere() -> None:
    snapshot = SnapshotBuilder(town()).at(0.0, 0.0)
    hits = snapshot.trace(np.zeros((1, 3), np.float32), np.float32([[0, 0, 1], [1, 0, 0]]))
    assert np.isinf(hits.distance[0]) and (hits.face[0], hits.instance[0]) == (-1, -1)
    only = hits.take(np.array([1]))
    assert only.face[0] == hits.face[1] and len(only.distance) == 1


def test_faces_have_unit_normals_and_their_classes() -> None:
    faces = Faces.of(box((1, 2, 3), (0, 0, 0), Appearance(7, 4)), box((1, 1, 1), (0, 0, 0), RED))
    assert np.allclose(np.linalg.norm(faces.shape[:, 6:9], axis=1), 1.0)
    assert faces.label.tolist() == [7] * 12 + [3] * 12
    assert faces.material.tolist() == [4] * 12 + [1] * 12


RED = Appearance(3, 1)
