"""Rays end where triangles are."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.rays import Bvh, Instances

SQUARE = np.float32(
    [[[0, -1, -1], [0, 1, -1], [0, 1, 1]], [[0, -1, -1], [0, 1, 1], [0, -1, 1]]]
)  # fmt: skip
"""Two triangles across x, two metres wide."""


def group(*places: tuple[float, float, float], yaw: float = 0.0) -> Instances:
    """The square at several places; triangles are numbered from ten on, by tens."""
    poses = np.zeros((len(places), 3, 4), np.float32)
    c, s = np.cos(yaw), np.sin(yaw)
    poses[:, :, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    poses[:, :, 3] = places
    first = 10 * np.arange(1, len(places) + 1, dtype=np.int32)
    return Instances([Bvh(SQUARE)] * len(places), poses, first)


def ahead(count: int) -> np.ndarray:
    return np.tile(np.float32([1, 0, 0]), (count, 1))


@pytest.mark.parametrize("count", [1, 7, 8, 13])
def test_rays_end_at_the_nearest_square_whatever_their_number(count: int) -> None:
    origins = np.zeros((count, 3), np.float32)
    origins[:, 1] = np.linspace(-0.9, 0.8, count)
    origins[-1, 1] = 5.0
    distance, face, instance, place = group((7, 0, 0), (4, 0, 0)).trace(origins, ahead(count))
    assert np.allclose(distance[:-1], 4.0) and np.isinf(distance[-1])
    assert (instance[:-1] == 1).all() and instance[-1] == -1
    assert set(face[:-1].tolist()) <= {20, 21} and face[-1] == -1
    assert ((place[:-1] >= 0) & (place[:-1].sum(1, keepdims=True) <= 1 + 1e-6)).all()


def test_one_origin_is_enough_for_all_rays() -> None:
    distance, *_ = group((4, 0, 0)).trace(np.zeros((1, 3), np.float32), ahead(9))
    assert np.allclose(distance, 4.0)


def test_an_instance_stands_where_its_pose_says() -> None:
    turned = group((4, 0, 0), yaw=np.pi / 2)
    origins = np.float32([[3.5, -3, 0], [0, 0.5, 0]])
    directions = np.float32([[0, 1, 0], [1, 0, 0]])
    assert np.allclose(turned.trace(origins, directions)[0], [3.0, np.inf])


def test_points_behind_something_are_blocked() -> None:
    points = np.zeros((11, 3), np.float32)
    points[:, 2] = np.linspace(-2, 2, 11)
    blocked = group((4, 0, 0)).blocked(points, np.float32([1, 0, 0]))
    assert np.array_equal(blocked, np.abs(points[:, 2]) < 1)
