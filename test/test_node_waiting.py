"""Whoever plays a bag waits for the node to be active, not for a number of seconds."""

from __future__ import annotations

import threading

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import LifecycleNode  # noqa: E402

from any2seg_ros.node.waiting import wait  # noqa: E402


@pytest.fixture
def lifecycle():
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        node = LifecycleNode("segmenter")
        asking = rclpy.create_node("asking")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        stop = threading.Event()

        def spin() -> None:
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.05)

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        yield node, asking
        stop.set()
        thread.join(10)
        for one in (node, asking):
            one.destroy_node()
        rclpy.try_shutdown()


def test_a_node_that_becomes_active_is_waited_for(lifecycle):
    node, asking = lifecycle
    later = threading.Timer(1.0, lambda: (node.trigger_configure(), node.trigger_activate()))
    later.start()
    assert wait(asking, "/segmenter", 60)
    later.join()


def test_a_node_that_is_not_active_is_not_waited_for_for_ever(lifecycle):
    node, asking = lifecycle
    node.trigger_configure()
    assert not wait(asking, "/segmenter", 1.0)
    assert not wait(asking, "/nobody", 1.0)
