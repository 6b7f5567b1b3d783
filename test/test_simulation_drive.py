"""The vehicle drives forward along its lane, and its sensors are where the settings say."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.drive import OPTICAL, Drive, Rig, pinhole, rotation, translation
from any2seg_ros.simulation.settings import DEFAULTS
from any2seg_ros.simulation.site import TownSettings
from any2seg_ros.simulation.town import Town, build_town


@pytest.fixture(scope="module")
def town() -> Town:
    return build_town(np.random.SeedSequence(2), TownSettings(), 4.0)


def test_positive_pitch_lowers_the_nose_and_positive_yaw_turns_left() -> None:
    ahead = np.array([1.0, 0, 0, 0])
    assert (rotation(0.0, 0.1) @ ahead)[2] < 0
    assert (rotation(0.1, 0.0) @ ahead)[1] > 0
    turn = rotation(0.3, 0.2, 0.1)[:3, :3]
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)


def test_an_optical_frame_looks_along_z() -> None:
    assert np.allclose(OPTICAL @ [0, 0, 1, 1], [1, 0, 0, 1])
    assert np.allclose(OPTICAL @ [1, 0, 0, 1], [0, -1, 0, 1])


def test_a_pinhole_camera_has_its_field_of_view() -> None:
    camera = pinhole(640, 360, 90.0)
    assert camera.fx == pytest.approx(320.0)
    assert (camera.cx, camera.cy) == (319.5, 179.5)


def test_the_reference_is_the_rgb_camera_and_the_others_are_beside_it() -> None:
    rig = Rig.of(DEFAULTS, (512, 288), height=1.6)
    assert np.allclose(rig.reference_from(rig.base_from_rgb), np.eye(4))
    depth = rig.reference_from(rig.base_from_depth)[:3, 3]
    assert depth[0] == pytest.approx(0.14, abs=0.01)  # to the right
    assert rig.base_from_rgb[2, 3] == pytest.approx(1.6)
    low = Rig.of(DEFAULTS, (512, 288), height=1.6, low=True)
    assert 2 * low.event.width == rig.event.width


def test_the_vehicle_keeps_its_lane_at_its_speed(town: Town) -> None:
    drive = Drive(town, np.random.SeedSequence(0))
    for seconds in (0.0, 1.5, 4.0):
        pose = drive.world_from_base(seconds)
        x, y, z, heading = town.road.pose(town.speed * seconds, town.lane)
        assert np.allclose(pose[:3, 3], [x, y, z], atol=0.3)
        assert pose[:3, 0] @ [np.cos(heading), np.sin(heading), 0] > 0.99
    assert np.allclose(translation(1, 2, 3) @ [0, 0, 0, 1], [1, 2, 3, 1])
