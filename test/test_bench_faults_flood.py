"""A flood is published as often as it is told, and ends with its input."""

from __future__ import annotations

import subprocess
import sys

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402

from any2seg_ros.messages import stamp_ns  # noqa: E402


@pytest.mark.timeout(300)
def test_a_message_is_repeated_with_new_stamps_until_the_input_ends(tmp_path, monkeypatch) -> None:
    ros_vehicle.isolate(monkeypatch)
    (tmp_path / "cdr").write_bytes(serialize_message(PointCloud2(width=7)))
    rclpy.init()
    node = rclpy.create_node("listener")
    clouds: list[PointCloud2] = []
    node.create_subscription(PointCloud2, "/points", clouds.append, 50)
    command = [sys.executable, "-m", "any2seg_ros.bench.faults.flood", "/points"]
    command += ["sensor_msgs/msg/PointCloud2", str(tmp_path / "cdr"), "50"]
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
            assert process.stdout is not None and process.stdin is not None
            assert process.stdout.readline() == "begins\n"
            for _ in range(3000):
                rclpy.spin_once(node, timeout_sec=0.1)
                if len(clouds) > 20:
                    break
            process.stdin.close()
            reached = float(process.stdout.readline())
            # One at once and none too early, however slow the machine is: 21 in 0.4 s.
            assert 0 < reached <= 21 / 0.4
            assert process.wait(60) == 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    stamps = [stamp_ns(cloud.header.stamp) for cloud in clouds]
    assert clouds[0].width == 7 and stamps == sorted(set(stamps))
