"""Bags hold standard messages that any reader of ROS 2 bags understands."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import Reader

from any2seg_ros.bags import BagWriter, typestore
from any2seg_ros.bags.writer import quaternion
from any2seg_ros.files import part_of
from any2seg_ros.resources import find
from any2seg_ros.simulation.drive import rotation
from any2seg_ros.types import Camera

STAMP = 1_700_000_000_123_456_789
CAMERA = Camera(64, 48, 50.0, 51.0, 31.5, 23.5, (0.1, -0.05, 0.0, 0.0, 0.01))


def write(folder: Path) -> None:
    depth = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    png = cv2.imencode(".png", depth)[1].tobytes()
    with BagWriter(folder) as bag:
        bag.transforms(STAMP, {"lidar": rotation(0.3, 0.1)})
        bag.compressed_depth("/depth/image/compressedDepth", STAMP, "depth", png, 5)
        bag.camera_info("/depth/camera_info", STAMP, "depth", CAMERA)
        columns = {
            "x": np.float32([1, 2]), "y": np.float32([3, 4]), "z": np.float32([5, 6]),
            "intensity": np.uint8([7, 8]),
        }  # fmt: skip
        bag.cloud("/lidar/points", STAMP + 10, "lidar", columns)
        bag.event_packet("/event/packets", STAMP - 10, "event", (64, 48), b"\x00\x80")


def read(folder: Path) -> dict[str, tuple[int, object]]:
    store, found = typestore(), {}
    with Reader(folder) as reader:
        for connection, time, data in reader.messages():
            found[connection.topic] = (time, store.deserialize_cdr(data, connection.msgtype))
    return found


def test_messages_come_back_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    found = read(tmp_path / "bag")
    time, depth = found["/depth/image/compressedDepth"]
    assert time == STAMP + 5
    assert depth.header.stamp.sec * 10**9 + depth.header.stamp.nanosec == STAMP
    assert depth.format == "16UC1; compressedDepth png"
    assert len(struct.pack("<iff", 0, 0, 0)) == 12
    picture = cv2.imdecode(np.asarray(depth.data)[12:], cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16 and picture[1, 2] == 66
    _, info = found["/depth/camera_info"]
    assert info.k.tolist() == CAMERA.matrix.ravel().tolist()
    assert tuple(info.d) == CAMERA.distortion
    _, cloud = found["/lidar/points"]
    assert [f.name for f in cloud.fields] == ["x", "y", "z", "intensity"]
    assert [f.datatype for f in cloud.fields] == [7, 7, 7, 2]
    assert (cloud.point_step, cloud.width, len(cloud.data)) == (13, 2, 26)
    _, packet = found["/event/packets"]
    assert (packet.encoding, packet.width, bytes(packet.events)) == ("evt3", 64, b"\x00\x80")


def test_messages_are_in_order_of_time_and_tf_is_latched(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    with Reader(tmp_path / "bag") as reader:
        times = [time for _, time, _ in reader.messages()]
        assert times == sorted(times)
        static = next(c for c in reader.connections if c.topic == "/tf_static")
        assert static.ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"
        events = next(c for c in reader.connections if c.topic == "/event/packets")
        assert events.ext.offered_qos_profiles[0].reliability.name == "BEST_EFFORT"


def test_the_same_calls_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "bag")
    for file in ("bag.mcap", "metadata.yaml"):
        assert (tmp_path / "a/bag" / file).read_bytes() == (tmp_path / "b/bag" / file).read_bytes()


def test_an_unfinished_bag_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), BagWriter(tmp_path / "bag") as bag:
        bag.transforms(STAMP, {"lidar": np.eye(4)})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    mine = f"-{os.getpid()}."
    left = Path(str(part_of(tmp_path / "bag")).replace(mine, "-999999999.")) / "bag"
    left.mkdir(parents=True)
    write(tmp_path / "bag")
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_a_bag_that_is_there_is_not_harmed(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    before = (tmp_path / "bag/bag.mcap").read_bytes()
    with pytest.raises(FileExistsError, match="--out"), BagWriter(tmp_path / "bag"):
        pass
    assert (tmp_path / "bag/bag.mcap").read_bytes() == before


def test_quaternions_turn_as_their_matrices_do() -> None:
    rng = np.random.default_rng(1)
    for yaw, pitch, roll in rng.uniform(-3, 3, (20, 3)):
        matrix = rotation(yaw, pitch, roll)[:3, :3]
        x, y, z, w = quaternion(matrix)
        v = rng.standard_normal(3)
        q = np.array([x, y, z])
        turned = v + 2 * np.cross(q, np.cross(q, v) + w * v)
        assert np.allclose(turned, matrix @ v)
        assert w >= 0


def test_metadata_is_what_humble_reads(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.transforms(1, {"lidar": np.eye(4)})
    for folder in (tmp_path / "bag", find("demo_data/streets")):
        content = yaml.safe_load((folder / "metadata.yaml").read_text())
        bag_info = content["rosbag2_bagfile_information"]
        assert bag_info["version"] <= 5
        for topic in bag_info["topics_with_message_count"]:
            qos = yaml.safe_load(topic["topic_metadata"]["offered_qos_profiles"])
            assert isinstance(topic["topic_metadata"]["offered_qos_profiles"], str)
            latched = topic["topic_metadata"]["name"] == "/tf_static"
            assert qos[0]["durability"] == (1 if latched else 2) and qos[0]["history"] == 1
        with Reader(folder) as reader:
            assert reader.message_count == bag_info["message_count"] > 0
