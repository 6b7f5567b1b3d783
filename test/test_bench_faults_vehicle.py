"""The vehicle of the faults plays on while its publishers are replaced, or says what ended it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402

from any2seg_ros import resources  # noqa: E402
from any2seg_ros.bench.faults.vehicle import Vehicle  # noqa: E402
from any2seg_ros.demo.player import SensorLog  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

RGB, DEPTH, LIDAR, EVENT = Modality
CLOUDS = "/lidar/points"


@pytest.fixture
def vehicle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vehicle]:
    ros_vehicle.isolate(monkeypatch)
    rclpy.init(args=[])
    node = rclpy.create_node("vehicle")
    one = Vehicle(node, SensorLog(resources.find("demo_data/streets")))
    try:
        yield one
    finally:
        one.close()
        node.destroy_node()
        rclpy.try_shutdown()


def test_a_publisher_is_not_replaced_while_it_publishes(vehicle: Vehicle) -> None:
    entered, go_on, replaced = threading.Event(), threading.Event(), threading.Event()

    def publish(message: Any) -> None:
        entered.set()
        go_on.wait(60)
        assert not replaced.is_set(), "the publisher is gone"

    def replace() -> None:
        vehicle.reopen(LIDAR)
        replaced.set()

    vehicle._publishers[CLOUDS] = SimpleNamespace(publish=publish)
    assert entered.wait(60)
    thread = threading.Thread(target=replace)
    thread.start()
    assert not replaced.wait(0.3)
    go_on.set()
    thread.join(60)
    assert replaced.is_set()
    frames = vehicle.heard.frames
    assert vehicle.wait(lambda: vehicle.heard.frames > frames + 3, 60) is not None


def test_what_ends_the_player_is_raised_by_whoever_waits(vehicle: Vehicle) -> None:
    def broken(message: Any) -> list[Any]:
        raise ZeroDivisionError("in a fault")

    raised = pytest.raises(RuntimeError, match=r"ZeroDivisionError\('in a fault'\)")
    with vehicle.changed(broken, LIDAR), raised:
        vehicle.wait(lambda: False, 60)
    with pytest.raises(RuntimeError, match="stopped"):
        vehicle.check()
