"""The node's executor runs what any executor runs, and looks for QoS events now and then."""

from __future__ import annotations

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.waitable import Waitable  # noqa: E402
from std_msgs.msg import UInt32  # noqa: E402

from any2seg_ros.node import delivery, executor  # noqa: E402
from any2seg_ros.node.executor import LeanExecutor  # noqa: E402


@pytest.fixture
def node(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("lean")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def spin(one: LeanExecutor, until, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        one.spin_once(timeout_sec=0.05)
    return bool(until())


def test_messages_timers_and_qos_events_come(node):
    heard, ticks, misfits = [], [], []
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    talker = node.create_publisher(UInt32, "numbers", best_effort)
    node.create_subscription(UInt32, "numbers", heard.append, best_effort)
    delivery.subscribed(
        lambda **events: node.create_subscription(UInt32, "numbers", lambda _: None, 5, **events),
        lambda: misfits.append(1),
        lambda count: None,
    )
    node.create_timer(0.05, lambda: (ticks.append(1), talker.publish(UInt32(data=1))))
    one = LeanExecutor()
    one.add_node(node)
    assert spin(one, lambda: heard and ticks and misfits), (heard, ticks, misfits)


def test_between_two_looks_it_does_not_wait_for_qos_events(node, monkeypatch):
    handlers = [one for one in node.waitables if isinstance(one, Waitable)]
    assert handlers
    one = LeanExecutor()
    one.add_node(node)
    one.spin_once(timeout_sec=0)
    assert all(one.can_execute(handler) for handler in handlers)
    monkeypatch.setattr(executor, "_LOOK_FOR_S", 0.0)
    one.spin_once(timeout_sec=0)
    assert not any(one.can_execute(handler) for handler in handlers)
