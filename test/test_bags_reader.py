"""Reading bags: whole ones, ones that were cut off anywhere, and what is no bag."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from any2seg_ros.bags import BagReader

COUNT = 40
TYPESTORE = get_typestore(Stores.ROS2_KILTED)
PACKET = "event_camera_msgs/msg/EventPacket"
TYPESTORE.register(
    get_types_from_msg(
        "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
        "string encoding\nbool is_bigendian\nuint8[] events",
        PACKET,
    )
)


def header(stamp: int):
    time = TYPESTORE.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return TYPESTORE.types["std_msgs/msg/Header"](time, "lidar")


def packet(index: int):
    data = np.full(300, index, np.uint8)
    return TYPESTORE.types[PACKET](header(index), 4, 5, index, 0, "evt3", False, data)


def write_bag(path: Path, plugin=StoragePlugin.MCAP, packed: bool = True) -> Path:
    """Forty event packets, and as many strings on another topic."""
    with_chunks = packed and plugin == StoragePlugin.MCAP
    writer = Writer(path, version=9, storage_plugin=plugin)
    if with_chunks:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        events = writer.add_connection("/events", PACKET, typestore=TYPESTORE)
        words = writer.add_connection("/words", "std_msgs/msg/String", typestore=TYPESTORE)
        for index in range(COUNT):
            data = TYPESTORE.serialize_cdr(packet(index), PACKET)
            writer.write(events, 1000 + 10 * index, data)
            word = TYPESTORE.types["std_msgs/msg/String"](f"word {index}")
            data = TYPESTORE.serialize_cdr(word, "std_msgs/msg/String")
            writer.write(words, 1005 + 10 * index, data)
    return path


def mcap_of(bag: Path) -> Path:
    return next(bag.glob("*.mcap"))


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_messages_come_in_order_with_types_that_the_bag_itself_defines(tmp_path, plugin):
    with BagReader(write_bag(tmp_path / "bag", plugin)) as bag:
        assert bag.topics == {"/events": PACKET, "/words": "std_msgs/msg/String"}
        assert bag.message_count == 2 * COUNT
        assert (bag.start, bag.duration) == (1000, 10 * COUNT - 4)
        recorded = list(bag.messages())
        assert [r.log_time for r in recorded] == sorted(r.log_time for r in recorded)
        packets = list(bag.messages(["/events"]))
        assert [p.message.seq for p in packets] == list(range(COUNT))
        assert packets[7].message.events.tolist() == [7] * 300
        assert bag.notes == []


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_file_that_ends_mid_message_gives_what_came_before_and_says_so(tmp_path, share, packed):
    bag_path = write_bag(tmp_path / "bag", packed=packed)
    whole = mcap_of(bag_path).read_bytes()
    mcap_of(bag_path).write_bytes(whole[: int(len(whole) * share)])
    (bag_path / "metadata.yaml").unlink()
    with BagReader(bag_path) as bag:
        seen = [r.message.seq for r in bag.messages(["/events"])]
    assert seen == list(range(len(seen)))
    assert len(seen) > 0.15 * COUNT if packed else len(seen) > 0.5 * share * COUNT
    assert any("ends in the middle" in note for note in bag.notes)


def test_a_bag_without_its_metadata_is_read_all_the_same(tmp_path):
    bag_path = write_bag(tmp_path / "bag")
    (bag_path / "metadata.yaml").unlink()
    with BagReader(bag_path) as bag:
        assert len(list(bag.messages())) == 2 * COUNT
        assert any("metadata.yaml is missing" in note for note in bag.notes)


def test_files_of_two_recorders_are_read_side_by_side(tmp_path):
    both = tmp_path / "both"
    both.mkdir()
    for name in ("camera", "lidar"):
        mcap_of(write_bag(tmp_path / name)).rename(both / f"{name}.mcap")
    with BagReader(both) as bag:
        times = [r.log_time for r in bag.messages()]
    assert len(times) == 4 * COUNT and times == sorted(times)


def test_a_single_file_is_a_bag_too(tmp_path):
    with BagReader(mcap_of(write_bag(tmp_path / "bag"))) as bag:
        assert len(list(bag.messages(["/words"]))) == COUNT


def test_damaged_messages_are_left_out_and_counted(tmp_path):
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        events = writer.add_connection("/events", PACKET, typestore=TYPESTORE)
        for index in range(4):
            data = bytes(TYPESTORE.serialize_cdr(packet(index), PACKET))
            writer.write(events, index, data[:40] if index == 2 else data)
    with BagReader(path) as bag:
        assert [r.message.seq for r in bag.messages()] == [0, 1, 3]
        assert bag.notes == ["1 messages could not be deserialised and were left out"]


def test_damage_in_the_middle_ends_the_messages_with_a_note(tmp_path):
    bag_path = write_bag(tmp_path / "bag", packed=False)
    content = bytearray(mcap_of(bag_path).read_bytes())
    third = len(content) // 3
    content[third : third + 400] = b"\xff" * 400
    mcap_of(bag_path).write_bytes(content)
    with BagReader(bag_path) as bag:
        assert len(list(bag.messages(["/events"]))) < COUNT
        assert bag.notes


def test_what_is_no_bag_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no bag at"):
        BagReader(tmp_path / "nowhere").__enter__()
    with pytest.raises(ValueError, match="neither a .mcap nor a .db3"):
        BagReader(tmp_path).__enter__()
    (tmp_path / "words.mcap").write_text("no bag at all, but long enough to look at")
    with pytest.raises(ValueError, match="is no bag: it is neither MCAP nor SQLite"):
        BagReader(tmp_path / "words.mcap").__enter__()
    (tmp_path / "words.db3").write_bytes(b"SQLite format 3\0" + b"no database" * 100)
    with pytest.raises(ValueError, match="cannot read the bag.*its topics cannot be read"):
        BagReader(tmp_path / "words.db3").__enter__()


def test_messages_are_counted_where_the_index_does_not_count_them_by_topic(tmp_path):
    file = mcap_of(write_bag(tmp_path / "bag"))
    data = file.read_bytes()
    at = data.rindex(b"\x0b" + struct.pack("<Q", 46 + 20))  # Statistics, of two channels
    record = b"\x0b" + struct.pack("<Q", 46) + data[at + 9 : at + 9 + 42] + struct.pack("<I", 0)
    file.write_bytes(data[:at] + record + data[at + 9 + 66 :])
    with BagReader(file) as bag:
        assert bag.counts == {"/events": COUNT, "/words": COUNT}
        assert bag.message_count == 2 * COUNT
