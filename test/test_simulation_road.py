"""Road coordinates, and surfaces that follow the road."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.mesh import Appearance, box
from any2seg_ros.simulation.road import Road

GRAY = Appearance(0, 0)


@pytest.fixture
def road() -> Road:
    return Road.random(np.random.default_rng(3), -40.0, 200.0, bend=0.012, slope=0.05)


def straight() -> Road:
    s = np.arange(101, dtype=float)
    return Road(0.0, s, np.zeros(101), 0.02 * s, np.zeros(101))


def test_it_begins_at_the_origin_and_keeps_to_its_limits(road: Road) -> None:
    assert np.allclose([float(v) for v in road.at(0.0)], 0.0)
    assert np.abs(np.diff(road.heading)).max() <= 0.012
    assert np.abs(np.diff(road.z)).max() <= 0.05
    assert np.allclose(np.hypot(np.diff(road.x), np.diff(road.y)), 1.0)


def test_d_is_to_the_left_and_h_is_up() -> None:
    assert np.allclose(straight().world(10.0, 2.0, 0.5), [10.0, 2.0, 0.2 + 0.5])
    assert straight().slope(50.0) == pytest.approx(0.02)


def test_a_point_and_its_pose_agree_on_a_bend(road: Road) -> None:
    x, y, z, heading = road.pose(57.3, -3.0, 1.0)
    assert np.allclose([x, y, z], road.world(57.3, -3.0, 1.0))
    assert heading == pytest.approx(float(road.at(57.3)[3]))


def test_beyond_its_ends_the_road_stops() -> None:
    assert np.allclose(straight().at(500.0)[0], 100.0)


def test_a_mesh_is_put_along_the_road(road: Road) -> None:
    size = (4.0, 1.0, 1.0)
    mesh = road.put(box(size, (0, 0, 0.5), GRAY), 120.0, 2.0)
    corners = mesh.corners.reshape(-1, 3)
    heading = float(road.at(120.0)[3])
    ahead = (corners - road.world(120.0, 2.0, 0.0)) @ [np.cos(heading), np.sin(heading), 0]
    assert np.ptp(ahead) == pytest.approx(4.0, abs=1e-3)


def test_a_row_repeats_a_mesh(road: Road) -> None:
    post = box((0.1, 0.1, 1.0), (0, 0, 0.5), GRAY)
    places = np.array([0.0, 30.0, 60.0])
    rows = road.row(post, places, 3.0).corners.reshape(3, -1, 3).mean(1)
    assert np.allclose(rows, road.world(places, 3.0, 0.5), atol=0.05)


def test_a_profile_and_a_patch_lie_on_the_road() -> None:
    profile = straight().profile(10.0, 20.0, [(-2.0, 0.1), (2.0, 0.1)], GRAY).corners
    patch = straight().patch(10.0, 20.0, -2.0, 2.0, 0.1, GRAY).corners
    for corners in (profile, patch):
        assert np.allclose(corners[..., 2], 0.02 * corners[..., 0] + 0.1, atol=1e-4)
        assert np.ptp(corners[..., 0]) == pytest.approx(10.0)
        assert np.ptp(corners[..., 1]) == pytest.approx(4.0)


def test_a_bar_is_a_wall_of_its_width_and_height() -> None:
    corners = straight().bar(0.0, 9.0, 5.0, 0.0, 2.0, 0.4, GRAY).corners
    assert corners[..., 1].min() == pytest.approx(4.8)
    assert corners[..., 1].max() == pytest.approx(5.2)
    assert (corners[..., 2] - 0.02 * corners[..., 0]).max() == pytest.approx(2.0, abs=1e-4)
