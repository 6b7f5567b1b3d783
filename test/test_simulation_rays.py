"""Rays end where triangles are, and solids are closed."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.mesh import Appearance, Mesh, blob, box, column
from any2seg_ros.simulation.rays import Bvh, Instances

RED = Appearance(3, 1)
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


def volume(mesh: Mesh) -> float:
    """Of a closed solid whose triangles' corners run counter-clockwise seen from outside."""
    a, b, c = mesh.corners.transpose(1, 0, 2).astype(float)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_column_is_closed_and_stands_or_lies_where_it_should(axis: str) -> None:
    mesh = column(0.5, 3.0, RED, (1, 2, 3), 64, axis=axis)
    assert volume(mesh) == pytest.approx(np.pi * 0.25 * 3.0, rel=0.01)
    low, high = mesh.corners.min((0, 1)), mesh.corners.max((0, 1))
    middle = np.array([1, 2, 4.5 if axis == "z" else 3])
    assert np.allclose((low + high) / 2, middle, atol=1e-5)
    assert np.allclose((high - low)["xyz".index(axis)], 3.0)


def test_a_box_is_closed_and_its_top_may_look_otherwise() -> None:
    mesh = box((1, 2, 3), (4, 5, 6), RED, top=Appearance(5, 2))
    assert volume(mesh) == pytest.approx(6.0, rel=1e-5)
    top = mesh.corners[..., 2].min(1) == 7.5
    assert np.array_equal(mesh.label == 5, top) and top.sum() == 2


def test_a_blob_fills_its_ellipsoid() -> None:
    mesh = blob((1, 2, 3), (0, 0, 5), RED, subdivisions=3)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * 6, rel=0.05)


def test_placing_turns_and_moves() -> None:
    mesh = box((2, 1, 1), (0, 0, 0), RED).placed(10, 20, 30, np.pi / 2)
    assert np.allclose(np.ptp(mesh.corners, (0, 1)), [1, 2, 1], atol=1e-6)
    assert np.allclose(mesh.corners.mean((0, 1)), [10, 20, 30], atol=1e-5)
