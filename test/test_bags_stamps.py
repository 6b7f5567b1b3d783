"""The stamp of a serialized message can be read and moved without deserializing it."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="serializes with rclpy")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2

from any2seg_ros.bags.stamps import header_stamp, restamp

SECOND = 1_000_000_000


def test_only_the_stamp_of_a_serialized_message_is_moved():
    cloud = PointCloud2(width=3, point_step=16)
    cloud.header.frame_id = "lidar"
    cloud.header.stamp.sec = 12
    moved = restamp(serialize_message(cloud), 1_700_000_000 * SECOND + 5)
    assert header_stamp(moved) == 1_700_000_000 * SECOND + 5
    cloud.header.stamp.sec, cloud.header.stamp.nanosec = 1_700_000_000, 5
    assert deserialize_message(moved, PointCloud2) == cloud
