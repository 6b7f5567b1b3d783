"""MCAP files made by hand whose lengths, sizes and indices lie."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from rosbags.typesys import Stores, get_typestore
from test_bags_parts import COUNT, file_of, write_bag, zstd

from any2seg_ros.bags import BagReader

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
