"""A bag file: topics with their QoS, plain values for rosbags, and reproducible bytes."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from any2seg_ros.bags.file import METADATA, BagFile
from any2seg_ros.messages.kinds import CAMERA_INFO, IMAGE, REGION

STAMP = 1_700_000_000_123_456_789


def write(folder: Path) -> None:
    """An image, reliable, and the same on a latched and on a best-effort topic."""
    file = BagFile(folder)
    fields = {"height": 1, "width": 3, "encoding": "mono8", "is_bigendian": 0, "step": 3}
    header = file.header(STAMP, "camera")
    message = file.message(IMAGE, header=header, data=array("B", b"abc"), **fields)
    cdr = file.serialized(message, IMAGE)
    file.write("/image", IMAGE, STAMP + 5, cdr)
    file.write("/latched", IMAGE, STAMP + 6, cdr, latched=True)
    file.write("/fast", IMAGE, STAMP + 7, cdr, reliable=False)
    file.write("/image", IMAGE, STAMP + 8, cdr)
    file.close()


def test_messages_come_back_with_their_log_time(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    assert {path.name for path in (tmp_path / "bag").iterdir()} == {"bag.mcap", METADATA}
    with Reader(tmp_path / "bag") as reader:
        rows = [(c.topic, time, bytes(data)) for c, time, data in reader.messages()]
    assert [(topic, time - STAMP) for topic, time, _ in rows] == [
        ("/image", 5), ("/latched", 6), ("/fast", 7), ("/image", 8),
    ]  # fmt: skip
    message = BagFile(tmp_path / "other").typestore.deserialize_cdr(rows[0][2], IMAGE)
    assert bytes(message.data) == b"abc"
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == divmod(STAMP, 10**9)


def test_topics_state_their_qos(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    with Reader(tmp_path / "bag") as reader:
        qos = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    assert qos["/image"].reliability.name == "RELIABLE"
    assert qos["/fast"].reliability.name == "BEST_EFFORT"
    assert (qos["/latched"].durability.name, qos["/latched"].depth) == ("TRANSIENT_LOCAL", 1)


def test_the_same_writes_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "bag")
    for name in ("bag.mcap", METADATA):
        assert (tmp_path / "a/bag" / name).read_bytes() == (tmp_path / "b/bag" / name).read_bytes()


def test_lists_of_floats_become_arrays(tmp_path: Path) -> None:
    file = BagFile(tmp_path / "bag")
    roi = file.message(REGION, x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    info = file.message(
        CAMERA_INFO, header=file.header(0, "c"), height=1, width=1, distortion_model="plumb_bob",
        d=[0.1, 0.2], k=[1.0] * 9, r=[0.0] * 9, p=[0.0] * 12, binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip
    back = file.typestore.deserialize_cdr(file.serialized(info, CAMERA_INFO), CAMERA_INFO)
    file.close()
    assert back.d.tolist() == [0.1, 0.2] and back.k.tolist() == [1.0] * 9


def test_an_existing_bag_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    before = (tmp_path / "bag/bag.mcap").read_bytes()
    with pytest.raises(Exception, match="exists"):
        BagFile(tmp_path / "bag")
    assert (tmp_path / "bag/bag.mcap").read_bytes() == before
