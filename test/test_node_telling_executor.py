"""Bytes that are no message, over DDS: counted by topic, said, and nobody's end."""

from __future__ import annotations

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, PointCloud2  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from any2seg_ros.node.batches import Batches  # noqa: E402
from any2seg_ros.node.telling_executor import TellingExecutor  # noqa: E402
from any2seg_ros.types import Availability, Modality  # noqa: E402

RGB, DEPTH, LIDAR, EVENT = Modality
CLOUD = serialize_message(PointCloud2(data=bytes(64)))
GARBAGE = (CLOUD[:4] + b"\xff" * 80, b"", b"\xff")
HALF = CLOUD[: len(CLOUD) // 2]


@pytest.fixture
def vehicle():
    with ros_vehicle.opened() as vehicle:
        yield vehicle


@pytest.fixture
def node(vehicle, tmp_path):
    model = ros_vehicle.tiny_model(tmp_path)
    arguments = ros_vehicle.arguments_of(
        model=model, silent_after=4 * ros_vehicle.PERIOD, diagnostics_period=0.2
    )
    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: vehicle.heard["status"] or not node.lives, 90), node.log
        yield node


def counted(vehicle) -> dict[str, int]:
    """What the last diagnostics say, by topic."""
    start = "undecodable on "
    for array in reversed(vehicle.diagnostics):
        for status in array.status:
            if status.name.endswith("segmentation"):
                rows = {v.key: v.value for v in status.values if v.key.startswith(start)}
                return {key.removeprefix(start): int(value) for key, value in rows.items()}
    return {}


def test_garbage_is_counted_by_topic_and_costs_its_sensor_alone(vehicle, node) -> None:
    vehicle.alive = {RGB, DEPTH}
    assert vehicle.wait(lambda: vehicle.uses(RGB, DEPTH), 60), node.log
    info = vehicle._talker.create_publisher(CameraInfo, "/depth/camera_info", 10)
    transforms = vehicle._talker.create_publisher(TFMessage, "/tf", 10)
    assert vehicle.wait(lambda: transforms.get_subscription_count(), 30)
    for number, data in enumerate(GARBAGE, 1):  # one by one: several at once count as one
        for publisher in (vehicle._publishers[LIDAR], transforms, info):
            publisher.publish(data)
        expected = dict.fromkeys(("/lidar/points", "/tf", "/depth/camera_info"), number)
        assert vehicle.wait(lambda e=expected: counted(vehicle) == e, 30), counted(vehicle)
        assert ("/lidar/points cannot be decoded" in node.log) is (number == len(GARBAGE))
    vehicle._publishers[LIDAR].publish(HALF)
    assert vehicle.wait(lambda: counted(vehicle)["/lidar/points"] == len(GARBAGE) + 1, 30)
    reason = "messages on /lidar/points cannot be decoded as sensor_msgs/PointCloud2"
    assert vehicle.wait(lambda: vehicle.says(LIDAR, Availability.INVALID, reason), 30)
    vehicle.clear()
    assert vehicle.wait(lambda: vehicle.uses(RGB, DEPTH), 30)
    assert node.lives and node.log.count(reason) == 1
    assert node.log.count("messages on /tf cannot be decoded") == 1
    vehicle.alive = {RGB, DEPTH, LIDAR}
    assert vehicle.wait(lambda: vehicle.uses(RGB, DEPTH, LIDAR), 60), node.log


def test_nothing_is_told_of_queues_that_overflow_and_publishers_that_leave() -> None:
    told, heard = [], []
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        try:
            talker, listener = rclpy.create_node("talker"), rclpy.create_node("listener")
            listener.create_subscription(PointCloud2, "/cloud", heard.append, QoSProfile(depth=3))
            executor = TellingExecutor(told.append)
            executor.add_node(listener)
            for _ in range(3):
                publisher = talker.create_publisher(PointCloud2, "/cloud", 10)
                wanted = len(heard) + 3
                while not publisher.get_subscription_count():
                    executor.spin_once(timeout_sec=0.05)
                for _ in range(50):
                    publisher.publish(CLOUD)
                for _ in range(600):
                    if len(heard) >= wanted:
                        break
                    executor.spin_once(timeout_sec=0.05)
                assert len(heard) >= wanted
                talker.destroy_publisher(publisher)
                for _ in range(10):
                    executor.spin_once(timeout_sec=0.05)
            assert told == []
            publisher = talker.create_publisher(PointCloud2, "/cloud", 10)
            while not publisher.get_subscription_count():
                executor.spin_once(timeout_sec=0.05)
            publisher.publish(HALF)
            for _ in range(600):
                if told:
                    break
                executor.spin_once(timeout_sec=0.05)
            assert told == ["/cloud"]
            executor.shutdown()
        finally:
            rclpy.try_shutdown()


def test_nothing_is_told_of_packets_that_were_taken_with_others(monkeypatch) -> None:
    told: list[str] = []
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    try:
        node = rclpy.create_node("packets")
        heard: list[object] = []
        batches = Batches(node, lambda: True, heard.append)
        subscription = node.create_subscription(
            PointCloud2, "/cloud", batches.on_message, 10, callback_group=batches.group
        )
        batches.begin(subscription)
        publisher = node.create_publisher(PointCloud2, "/cloud", 10)
        executor = TellingExecutor(told.append)
        executor.add_node(node)
        while not publisher.get_subscription_count():
            executor.spin_once(timeout_sec=0.05)
        publisher.publish(CLOUD)
        while not heard:
            batches.take()
        assert executor._take_subscription(subscription) is None
        assert told == []
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
