"""The player publishes the sensors of a phase, in order and restamped, and no others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the player publishes over DDS: needs rclpy")

import rclpy
import ros_vehicle
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CompressedImage, PointCloud2

from any2seg_ros.bags.file import BagFile
from any2seg_ros.demo.player import Player, SensorLog
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.messages import stamp_ns
from any2seg_ros.resources import find
from any2seg_ros.types import Modality

RGB, LIDAR = "/rgb/image/compressed", "/lidar/points"


@pytest.fixture(scope="module")
def log() -> SensorLog:
    return SensorLog(find("demo_data/streets"))


def test_a_log_has_the_sensors_of_the_bag_in_order_of_time(log: SensorLog) -> None:
    assert {message.modality for message in log.messages} == set(Modality)
    due = [message.due for message in log.messages]
    assert due == sorted(due)
    assert log.seconds == pytest.approx(8.0, abs=0.2)
    assert all(message.stamp >= 0 for message in log.messages)
    assert log.types[LIDAR] == "sensor_msgs/msg/PointCloud2"
    assert len(log.static) == 1


def test_a_bag_without_sensor_topics_is_refused_with_the_names(tmp_path: Path) -> None:
    BagFile(tmp_path / "empty").close()
    with pytest.raises(ValueError, match="no topic named /rgb/"):
        SensorLog(tmp_path / "empty")


def test_of_a_bag_that_was_cut_off_the_beginning_is_played(log: SensorLog, tmp_path: Path) -> None:
    (file,) = find("demo_data/streets").glob("*.mcap")
    content = file.read_bytes()
    (tmp_path / "cut.mcap").write_bytes(content[: len(content) // 2])
    cut = SensorLog(tmp_path / "cut.mcap")
    assert 0 < len(cut.messages) < len(log.messages) and cut.notes and not log.notes
    assert cut.messages[0] == log.messages[0] and len(cut.static) == 1


def test_what_is_no_bag_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "bad.mcap").write_bytes(b"no bag at all" * 10)
    with pytest.raises(ValueError, match=r"bad\.mcap"):
        SensorLog(tmp_path / "bad.mcap")


def test_only_the_sensors_of_a_phase_are_played_with_new_stamps(
    log: SensorLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("player_test")
    clouds: list[PointCloud2] = []
    images: list[CompressedImage] = []
    node.create_subscription(PointCloud2, LIDAR, clouds.append, 20)
    node.create_subscription(CompressedImage, RGB, images.append, 20)
    player = Player(node, log)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        phase = Phase("LiDAR alone", (Modality.LIDAR,), 0.5)
        player.play([phase, phase], lambda index, seconds: executor.spin_once(timeout_sec=0))
        end = time.monotonic() + 20
        while len(clouds) < 8 and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    assert not images
    stamps = [stamp_ns(cloud.header.stamp) for cloud in clouds]
    assert len(stamps) >= 8 and stamps == sorted(stamps)
    assert min(stamps) >= player.starts[0]
    assert player.starts[1] - player.starts[0] == 500_000_000
    assert set(player.first_published) == {(0, Modality.LIDAR), (1, Modality.LIDAR)}
