"""The node on simulated time, as when a bag is played with --clock: it pauses, jumps and loops."""

from __future__ import annotations

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402

from any2seg_ros.messages import stamp_ns  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

RECORDED = 1_600_000_000_000_000_000
"""When the bag was recorded, ns: years before the wall clock."""


class Tape:
    """A clock that stands still and is set back like that of a player."""

    def __init__(self) -> None:
        self.paused_at: int | None = None
        self._zero = RECORDED - time.monotonic_ns()

    def __call__(self) -> int:
        return self.paused_at or self._zero + time.monotonic_ns()

    def pause(self) -> None:
        self.paused_at = self()

    def play_from(self, stamp: int) -> None:
        self._zero, self.paused_at = stamp - time.monotonic_ns(), None


@pytest.fixture(scope="module")
def vehicle():
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        vehicle = ros_vehicle.Vehicle()
        vehicle.now = Tape()
        yield vehicle
        vehicle.close()
        rclpy.try_shutdown()


@pytest.fixture(scope="module")
def node(vehicle, tmp_path_factory):
    model = ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))
    arguments = ros_vehicle.arguments_of(model=model, use_sim_time="true")
    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: vehicle.heard["status"] or not node.lives, 90), node.log
        yield node


def masks(vehicle) -> list[int]:
    return [stamp_ns(mask.header.stamp) for mask in list(vehicle.heard["mask"])]


def test_masks_have_the_stamps_of_the_tape_through_pauses_jumps_and_loops(vehicle, node):
    vehicle.alive = set(Modality)
    assert vehicle.wait(lambda: vehicle.uses(*Modality), 60), node.log
    assert min(masks(vehicle)) >= RECORDED
    assert max(masks(vehicle)) < RECORDED + 600_000_000_000

    vehicle.alive = set()
    vehicle.now.pause()
    time.sleep(4 * ros_vehicle.PERIOD)
    vehicle.clear()
    time.sleep(6 * ros_vehicle.PERIOD)
    assert masks(vehicle) == [] and vehicle.heard["status"] and node.lives

    for start in (RECORDED + 3_600_000_000_000, RECORDED):  # on by an hour; the loop
        vehicle.now.play_from(start)
        vehicle.clear()
        vehicle.alive = set(Modality)
        assert vehicle.wait(lambda: len(masks(vehicle)) >= 3, 30), node.log
        assert all(start <= stamp < start + 120_000_000_000 for stamp in masks(vehicle)[-2:])
        vehicle.alive = set()
        time.sleep(4 * ros_vehicle.PERIOD)
    assert "resetting" in node.log
