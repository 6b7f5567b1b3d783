"""What is packed becomes what was packed, and never more than it may."""

from __future__ import annotations

import pytest
from rosbags.rosbag2 import CompressionMode, Reader, Writer
from test_bags_parts import (
    ALL,
    FILE,
    KIND,
    MCAP,
    NONE,
    STORE,
    read,
    refusal,
    serialized,
    write_bag,
    zstd,
)
from test_bags_sqlite import unmerged

from any2seg_ros.bags.reader import _chunks
from any2seg_ros.bags.unpacking import check_together, unpack

MAGIC = b"\x89MCAP0\r\n"
BOMB = zstd.compress(bytes(300_000_000))


def test_a_message_that_becomes_too_much_is_left_out(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "bag", MCAP, NONE)
    monkeypatch.setattr("any2seg_ros.bags.unpacking.LARGEST", 1 << 20)
    with Writer(tmp_path / "bombs", version=9, storage_plugin=MCAP) as writer:
        topic = writer.add_connection("/data", KIND, typestore=STORE)
        writer.write(topic, 1000, serialized(0))
        writer.write(topic, 1001, BOMB)
    assert read(bag)[0] == ALL
    found, notes = read(tmp_path / "bombs")
    assert found == [0]
    assert "1 messages could not be deserialised" in notes[0] and "become more than" in notes[0]


def test_chunks_of_one_time_are_not_all_unpacked_at_once(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "bag", MCAP, CompressionMode.STORAGE)
    with Reader(next(bag.glob("*.mcap"))) as reader:
        ((begin, end, size),) = _chunks(reader)
    assert read(bag) == (ALL, [])
    monkeypatch.setattr("any2seg_ros.bags.unpacking.LARGEST", size * 3 // 2)
    check_together([(begin, end, size), (end + 1, end + 2, size)])
    with pytest.raises(ValueError, match="chunks of one time become more than"):
        check_together([(begin, end, size), (end, end + 2, size)])
    monkeypatch.setattr("any2seg_ros.bags.unpacking.LARGEST", size - 1)
    assert "chunks of one time become more than" in refusal(bag)


def test_a_file_that_becomes_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("any2seg_ros.bags.unpacking._RESERVE", 1 << 24)
    bomb = tmp_path / "bag.mcap.zstd"
    bomb.write_bytes(zstd.compress(MAGIC) + BOMB)
    assert "becomes more than" in refusal(bomb) and "it is no recording" in refusal(bomb)


def test_without_room_for_a_copy_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("any2seg_ros.bags.unpacking._RESERVE", 1 << 60)
    packed = write_bag(tmp_path / "packed", MCAP, FILE)
    assert "set TMPDIR to a larger disk, or unpack it with `zstd -d packed.mcap.zstd`" in refusal(
        packed
    )
    assert "or merge it with `sqlite3 drive_0.db3" in refusal(unmerged(tmp_path, "wal", ("-wal",)))


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_unpacking_gives_what_was_packed_and_no_more_than_it_may(compression):
    import lz4.frame

    pack = {"zstd": zstd.compress, "lz4": lz4.frame.compress}[compression]
    data = bytes(range(256)) * 400
    packed = pack(data)
    assert unpack(compression, packed, len(data)) == data
    assert unpack(compression, pack(b"") or packed[:0], 10) == b""
    assert data.startswith(unpack(compression, packed[: len(packed) // 2], len(data)))
    with pytest.raises(ValueError, match="become more than 102399 bytes"):
        unpack(compression, packed, len(data) - 1)
    with pytest.raises(ValueError, match="damaged"):
        unpack(compression, b"\x00" * 50, 100)
    with pytest.raises(ValueError, match="absurd"):
        unpack(compression, packed, 1 << 62)
