"""MCAP files without their end, and some made by hand whose lengths, sizes and indices lie."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from rosbags.typesys import Stores, get_typestore
from test_bags_parts import COUNT, file_of, write_bag, zstd

from any2seg_ros.bags import BagReader
from any2seg_ros.bags.salvage import SalvagedFile, is_whole
from any2seg_ros.inspection.topics import topic_stats

STORE = get_typestore(Stores.ROS2_KILTED)
MAGIC = b"\x89MCAP0\r\n"


def record(kind: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack("<BQ", kind, len(data) if length is None else length) + data


def text(words: str) -> bytes:
    return struct.pack("<I", len(words)) + words.encode()


def chunk(data: bytes, unpacked: int, compression: str = "zstd", size: int | None = None) -> bytes:
    head = struct.pack("<QQQI", 0, 9, unpacked, 0) + text(compression)
    return record(0x06, head + struct.pack("<Q", len(data) if size is None else size) + data)


SCHEMA = record(
    0x03, struct.pack("<H", 1) + text("std_msgs/msg/String") + text("ros2msg") + text("")
)
CHANNEL = record(
    0x04, struct.pack("<HH", 1, 1) + text("/data") + text("cdr") + struct.pack("<I", 0)
)
WORD = bytes(STORE.serialize_cdr(STORE.types["std_msgs/msg/String"]("word"), "std_msgs/msg/String"))
WORDS = record(0x05, struct.pack("<HIQQ", 1, 0, 5, 5) + WORD)
BEGIN = MAGIC + record(0x01, text("ros2") + text("")) + SCHEMA + CHANNEL + WORDS
BOMB = zstd.compress(bytes(300_000_000))


@pytest.mark.parametrize(
    "end",
    [
        record(0x05, b"", 1 << 62),
        record(0x05, b"", (1 << 64) - 1),
        record(0x06, bytes(40), 1 << 62),
        record(0x09, b"an attachment", 1 << 63),
        chunk(BOMB, 1000),
        chunk(BOMB, 1 << 62),
        chunk(BOMB, 1 << 62, size=1 << 62),
        chunk(BOMB[:2000], 1000),
        chunk(b"\xff" * 100, 100, "lz4"),
        chunk(b"\xff" * 100, 100, "brotli"),
        chunk(record(0x05, b"", 1 << 62), 9, ""),
        record(0x03, struct.pack("<H", 2) + struct.pack("<I", 0xFFFFFFFF)),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_lengths_that_lie_cost_little_and_what_came_before_is_read(tmp_path, end, whole):
    footer = record(0x02, struct.pack("<QQI", 0, 0, 0)) + MAGIC if whole else b""
    file = tmp_path / "bag.mcap"
    file.write_bytes(BEGIN + end + footer)
    tracemalloc.start()
    with BagReader(file) as bag:
        assert [r.message.data for r in bag.messages()] == ["word"]
        notes = bag.notes
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert notes and all("\n" not in note for note in notes)


def test_qos_that_stand_for_more_than_they_are_are_not_read(tmp_path):
    """Aliases of YAML, of which some hundred bytes stand for gigabytes."""
    qos = text("offered_qos_profiles") + text("- &a {history: 1}\n- {<<: [*a, *a]}\n")
    channel = struct.pack("<HH", 1, 1) + text("/data") + text("cdr")
    channel += struct.pack("<I", len(qos)) + qos
    footer = record(0x02, struct.pack("<QQI", 0, 0, 0)) + MAGIC
    file = tmp_path / "bag.mcap"
    begin = MAGIC + record(0x01, text("ros2") + text("")) + SCHEMA
    file.write_bytes(begin + record(0x04, channel) + WORDS + footer)
    with BagReader(file) as bag:
        assert [r.message.data for r in bag.messages()] == ["word"]
        assert "the QoS of a topic are no recorder's" in bag.notes[0]


def test_an_index_that_lies_costs_little(tmp_path):
    file = file_of(write_bag(tmp_path / "bag"))
    data = file.read_bytes()
    for at in range(len(data) - 2000, len(data) - 40, 307):
        changed = data[:at] + b"\xff" * 9 + data[at + 9 :]
        file.write_bytes(changed)
        tracemalloc.start()
        with BagReader(file) as bag:
            assert sum(1 for _ in bag.messages()) <= COUNT
        assert tracemalloc.get_traced_memory()[1] < 100e6
        tracemalloc.stop()


FOOTER = record(0x02, struct.pack("<QQI", 0, 0, 0)) + MAGIC


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (BEGIN + FOOTER, True),
        (BEGIN + FOOTER[:-1], False),
        (BEGIN, False),
        (MAGIC, False),
        (MAGIC + MAGIC, False),
        (b"", False),
        (b"SQLite format 3" + MAGIC, False),
    ],
)
def test_a_file_is_whole_when_it_begins_and_ends_as_mcap_does(tmp_path, content, whole):
    (tmp_path / "bag.mcap").write_bytes(content)
    assert is_whole(tmp_path / "bag.mcap") is whole


def test_messages_before_the_break_are_read_and_the_bytes_behind_it_are_counted(tmp_path):
    later = record(0x05, struct.pack("<HIQQ", 1, 0, 9, 9) + WORD)
    (tmp_path / "bag.mcap").write_bytes(BEGIN + later + later[:13])
    bag = SalvagedFile(tmp_path / "bag.mcap")
    assert (bag.start, bag.end, bag.counts) == (5, 9, {"/data": 2})
    assert bag.topics == {"/data": "std_msgs/msg/String"} and bag.encodings == {"cdr"}
    assert list(bag.messages(None)) == [
        ("/data", "std_msgs/msg/String", time, WORD) for time in (5, 9)
    ]
    assert bag.note == "bag.mcap ends in the middle: 13 bytes at its end are left out"
    assert list(bag.messages(["/other"])) == []
    bag.close()


def test_messages_without_a_type_are_left_out_as_their_topics_are(tmp_path):
    json = struct.pack("<HH", 2, 0) + text("/json") + text("json") + struct.pack("<I", 0)
    words = record(0x05, struct.pack("<HIQQ", 2, 0, 7, 7) + b'{"a": 1}')
    (tmp_path / "bag.mcap").write_bytes(BEGIN + record(0x04, json) + words)
    with BagReader(tmp_path / "bag.mcap") as bag:
        stats = topic_stats(bag)
    assert {topic: one.count for topic, one in stats.items()} == {"/data": 1}


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [("ros1", "is a bag of ROS 1 in MCAP: convert the .bag"), ("protobuf", "no messages of ROS 2")],
)
@pytest.mark.parametrize("end", [b"", record(0x02, bytes(20)) + MAGIC])
def test_messages_of_others_than_ros_2_are_refused_in_a_line(tmp_path, encoding, reason, end):
    channel = struct.pack("<HH", 1, 1) + text("/data") + text(encoding) + struct.pack("<I", 0)
    begin = MAGIC + record(0x01, text(encoding) + text("")) + SCHEMA
    (tmp_path / "bag.mcap").write_bytes(begin + record(0x04, channel) + WORDS + end)
    with pytest.raises(ValueError, match=reason), BagReader(tmp_path / "bag.mcap"):
        pass


def test_of_a_chunk_that_is_cut_off_the_records_before_the_cut_are_read_in_order(tmp_path):
    records = b"".join(
        record(0x05, struct.pack("<HIQQ", 1, 0, time, time) + WORD) for time in (30, 20, 10)
    )
    (tmp_path / "bag.mcap").write_bytes(BEGIN + chunk(records, len(records), "")[:-5])
    bag = SalvagedFile(tmp_path / "bag.mcap")
    assert [time for _, _, time, _ in bag.messages(None)] == [5, 20, 30]
    bag.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK", "is no MCAP file"),
        (MAGIC + SCHEMA + CHANNEL + WORDS[:-3], "not one whole message"),
        (MAGIC + SCHEMA + WORDS, "not one whole message"),  # nobody says whose message it is
    ],
)
def test_a_file_without_a_message_is_refused(tmp_path, content, words):
    (tmp_path / "bag.mcap").write_bytes(content)
    with pytest.raises(ValueError, match=f"bag.mcap .*{words}"):
        SalvagedFile(tmp_path / "bag.mcap")
