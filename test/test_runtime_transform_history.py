"""What TF told, for a while: by time, bounded, and without what is gone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.runtime.transform_history import TransformHistory

MS = 1_000_000
START = 1_700_000_000_000_000_000
STILL = np.eye(4)


def told(parent: str, child: str, stamp: int, x: float = 0.0, q=(0.0, 0.0, 0.0, 1.0)):
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return SimpleNamespace(
        header=SimpleNamespace(
            frame_id=parent, stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds)
        ),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=x, y=0.0, z=0.0),
            rotation=SimpleNamespace(x=q[0], y=q[1], z=q[2], w=q[3]),
        ),
    )


def driven(count: int, period: int = 20 * MS, fixed: str = "odom") -> TransformHistory:
    """10 m/s ahead, the camera 2 m before base_link."""
    history = TransformHistory(fixed)
    history.add(told("base_link", "camera", 0, 2.0), True)
    for k in range(count):
        history.add(told("/odom", "base_link", START + k * period, k * period * 1e-8), False)
        history.trajectory("camera", START, START, STILL)  # as each Frame asks for it
    return history


def place(history: TransformHistory, stamp: int, camera: str = "camera") -> float:
    way = history.trajectory(camera, stamp, stamp, STILL)
    return way.poses(np.array([stamp]))[0, 0, 3]


def test_poses_are_those_of_their_time() -> None:
    history = driven(100)
    assert place(history, START + 505 * MS) == pytest.approx(2 + 5.05)
    assert place(history, START + 1980 * MS + 50 * MS) == pytest.approx(2 + 20.3)


def test_a_trajectory_stays_as_it_was_when_it_was_made() -> None:
    history = driven(50)
    way = history.trajectory("camera", START, START + 980 * MS, STILL)
    before = way.poses(np.array([START + 500 * MS]))
    for k in range(50, 5000):
        history.add(told("odom", "base_link", START + k * 20 * MS, -7.0), False)
    np.testing.assert_array_equal(way.poses(np.array([START + 500 * MS])), before)


def test_frames_may_meet_above_both() -> None:
    history = driven(50)
    history.fixed = "map"
    history.add(told("earth", "map", 0, 100.0), True)
    history.add(told("earth", "odom", 0, 101.0), True)
    assert place(history, START + 500 * MS) == pytest.approx(1 + 2 + 5.0)


def test_memory_is_bounded_and_the_newest_is_kept() -> None:
    history = driven(0)
    for k in range(30_000):  # 1 kHz for half a minute
        history.add(told("odom", "base_link", START + k * MS, k * 0.01), False)
        if k % 1000 == 0:
            history.trajectory("camera", START, START, STILL)
    frame = history._frames["base_link"]
    assert len(frame._stamps) == 2400
    newest = START + 29_999 * MS
    way = history.trajectory("camera", newest - 11_000 * MS, newest, STILL)
    found = way.poses(np.array([newest - 11_000 * MS, newest]))[:, 0, 3]
    np.testing.assert_allclose(found, [2 + 189.99, 2 + 299.99], atol=1e-6)


def test_frames_that_are_not_between_cost_little() -> None:
    history = driven(10)
    for k in range(5000):
        for joint in range(3):
            history.add(told("base_link", f"joint{joint}", START + k * 10 * MS, k), False)
    history.trajectory("camera", START, START, STILL)
    assert len(history._frames["joint1"]._stamps) == 32
    for k in range(3000):
        history.add(told("base_link", f"name{k}", START), False)
    assert len(history._frames) <= 2000


def test_a_stamp_of_the_future_costs_itself_alone() -> None:
    history = driven(50)
    history.add(told("odom", "base_link", START + 10**15, 0.0), False)
    for k in range(50, 60):
        history.add(told("odom", "base_link", START + k * 20 * MS, k * 0.2), False)
    assert place(history, START + 1100 * MS) == pytest.approx(2 + 11.0)


def test_poses_that_come_late_are_put_in_order() -> None:
    history = driven(20)
    for k in (21, 20, 23, 22):
        history.add(told("odom", "base_link", START + k * 20 * MS, k * 0.2), False)
    assert place(history, START + 430 * MS) == pytest.approx(2 + 4.3)


def test_another_parent_begins_anew() -> None:
    history = driven(50)
    history.add(told("map", "base_link", START + 1000 * MS, 0.0), False)
    with pytest.raises(LookupError, match="no transform from camera to odom"):
        place(history, START + 500 * MS)


def test_a_jump_of_time_leaves_what_does_not_move() -> None:
    history = driven(50)
    history.forget()
    with pytest.raises(LookupError, match="no transform from camera to odom"):
        place(history, START + 500 * MS)
    history.add(told("odom", "base_link", START - 100_000 * MS), False)
    with pytest.raises(LookupError, match="has one pose of 'base_link' so far"):
        place(history, START - 100_000 * MS)


@pytest.mark.parametrize(("camera", "why"), [("", "unknown"), ("nowhere", "from nowhere to odom")])
def test_frames_that_nothing_joins_are_named(camera, why) -> None:
    with pytest.raises(LookupError, match=why):
        place(driven(50), START + 500 * MS, camera)


def test_a_rectified_camera_is_turned_in_its_frame() -> None:
    turn = transform((0, 0, 0), (0.0, 0.0, 0.1, 0.995))
    way = driven(50).trajectory("camera", START, START, turn)
    np.testing.assert_allclose(way.poses(np.array([START]))[0][:3, :3], turn[:3, :3])


def test_quaternions_need_no_length_of_one() -> None:
    history = driven(50)
    history.add(told("odom", "base_link", START + 1000 * MS, 10.0, (0, 0, 0, 2.0)), False)
    assert place(history, START + 990 * MS) == pytest.approx(2 + 9.9)
    history.add(told("odom", "base_link", START + 1020 * MS, np.nan), False)
    history.add(told("odom", "base_link", START + 1020 * MS, 0.0, (0, 0, 0, 0.0)), False)
    assert place(history, START + 1000 * MS) == pytest.approx(2 + 10.0)
