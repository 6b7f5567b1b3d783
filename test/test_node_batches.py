"""Packets are taken many at a time, and at once where a Frame waits for them."""

from __future__ import annotations

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from std_msgs.msg import UInt32  # noqa: E402

from any2seg_ros.node import batches  # noqa: E402
from any2seg_ros.node.batches import Batches  # noqa: E402


class Listener:
    """Takes numbers in batches; `turns` are the executor's callbacks of the subscription."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("listener")
        self.wanted = False
        self.numbers: list[int] = []
        self.turns = 0
        self.batches = Batches(
            self.node, lambda: self.wanted, lambda msg: self.numbers.append(msg.data)
        )
        profile = QoSProfile(depth=400)
        group = self.batches.group
        subscription = self.node.create_subscription(
            UInt32, "numbers", self._on_message, profile, callback_group=group
        )
        self.batches.begin(subscription)
        self.talker = self.node.create_publisher(UInt32, "numbers", profile)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def _on_message(self, msg: UInt32) -> None:
        self.turns += 1
        self.batches.on_message(msg)

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self.talker.publish(UInt32(data=number))

    def spin(self, until, seconds: float = 60.0) -> bool:
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            self.executor.spin_once(timeout_sec=0.05)
        return True


@pytest.fixture
def listener(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    listener = Listener()
    listener.say(0)
    assert listener.spin(lambda: listener.numbers), "nothing is heard"
    yield listener
    listener.batches.end()
    listener.node.destroy_node()
    rclpy.try_shutdown()


def test_many_messages_take_few_turns_of_the_executor_and_none_is_missing(listener):
    said = list(range(1, 201))
    listener.say(*said)
    assert listener.spin(lambda: len(listener.numbers) == 201), listener.numbers
    assert listener.numbers == [0, *said]
    assert listener.turns <= 20


def test_while_it_rests_the_executor_does_not_wait_for_messages(listener):
    group = listener.batches.group
    assert listener.spin(lambda: group.can_execute(None)), "it rests though nothing comes"
    listener.say(1)
    assert listener.spin(lambda: listener.numbers == [0, 1])
    assert not group.can_execute(None)
    listener.wanted = True
    assert group.can_execute(None)


def test_what_has_come_can_be_taken_at_once(listener):
    listener.say(1, 2, 3)
    end = time.monotonic() + 60
    while len(listener.numbers) < 4 and time.monotonic() < end:
        listener.batches.take()
    assert listener.numbers == [0, 1, 2, 3] and listener.turns == 1


def test_it_can_be_opened_to_look_for_events_and_rests_after_the_next_message(listener):
    listener.say(1)
    assert listener.spin(lambda: listener.numbers == [0, 1])
    listener.batches.open()
    assert listener.batches.group.can_execute(None)


def test_it_takes_no_more_after_its_end(listener):
    listener.batches.end()
    listener.say(1)
    time.sleep(0.1)
    assert listener.batches.take() == 0 and listener.numbers == [0]


def test_the_executor_gets_its_turn_while_messages_are_many(listener, monkeypatch):
    monkeypatch.setattr(batches, "LONGEST_S", 0.0)
    listener.say(*range(1, 51))
    assert listener.batches.take() <= 1
    assert listener.spin(lambda: len(listener.numbers) == 51)
    assert listener.numbers == list(range(51))
