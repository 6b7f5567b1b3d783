"""Solids are closed and have the size and the place they were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.mesh import Appearance, Mesh, blob, box, column

RED = Appearance(3, 1)


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


def test_a_box_is_closed_and_its_lid_may_have_another_appearance() -> None:
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
