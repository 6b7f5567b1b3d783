"""Bags as recorders, and those who move them about, leave them; and files that lie."""

from __future__ import annotations

import re
import shutil
import sqlite3
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from any2seg_ros.bags import BagReader
from any2seg_ros.bags.unpacking import unpack

zstd = pytest.importorskip(
    "backports.zstd" if __import__("sys").version_info < (3, 14) else "compression.zstd"
)

COUNT = 60
STORE = get_typestore(Stores.ROS2_KILTED)
KIND = "std_msgs/msg/UInt8MultiArray"
MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
FILE, MESSAGE, NONE = CompressionMode.FILE, CompressionMode.MESSAGE, None


def content(index):
    return np.random.default_rng(index).integers(0, 255, 12000, np.uint8)


def serialized(index):
    layout = STORE.types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return bytes(STORE.serialize_cdr(STORE.types[KIND](layout=layout, data=content(index)), KIND))


def write_bag(path: Path, plugin=MCAP, mode=NONE, first=0, count=COUNT) -> Path:
    writer = Writer(path, version=9, storage_plugin=plugin)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        topic = writer.add_connection("/data", KIND, typestore=STORE)
        for index in range(first, first + count):
            writer.write(topic, 1000 + index, serialized(index))
    return path


def file_of(bag: Path) -> Path:
    return next(f for f in bag.iterdir() if f.name != "metadata.yaml")


def read(path) -> tuple[list[int], list[str]]:
    """Which messages are read, all of them right, and the notes."""
    with BagReader(path) as bag:
        found = []
        for recorded in bag.messages():
            index = recorded.log_time - 1000
            np.testing.assert_array_equal(recorded.message.data, content(index))
            found.append(index)
        return found, bag.notes


ALL = list(range(COUNT))


@pytest.mark.parametrize("plugin", [MCAP, SQLITE])
@pytest.mark.parametrize("mode", [NONE, FILE, MESSAGE])
def test_bags_are_read_however_they_are_packed(tmp_path, plugin, mode):
    bag = write_bag(tmp_path / "bag", plugin, mode)
    assert read(bag) == (ALL, [])
    assert read(file_of(bag)) == (ALL, [])
    (bag / "metadata.yaml").unlink()
    assert read(bag) == (ALL, ["metadata.yaml is missing; the files were read one by one"])


@pytest.mark.parametrize("plugin", [MCAP, SQLITE])
@pytest.mark.parametrize("mode", [NONE, FILE, MESSAGE])
@pytest.mark.parametrize("share", [0.4, 0.7])
def test_of_a_file_that_is_cut_off_what_came_before_is_read(tmp_path, plugin, mode, share):
    bag = write_bag(tmp_path / "bag", plugin, mode)
    file = file_of(bag)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    found, notes = read(bag)
    assert found == list(range(len(found)))
    assert (share - 0.3) * COUNT < len(found) < COUNT
    assert any("ends in the middle" in n or "is cut off" in n for n in notes)
    assert any("metadata.yaml counts 60 messages" in n for n in notes)


def unmerged(folder: Path, journal: str, beside: tuple[str, ...]) -> Path:
    """A bag whose recorder died: half of its messages lie beside its .db3 file."""
    source = file_of(write_bag(folder / "source", SQLITE))
    live = folder / "live.db3"
    shutil.copy(source, live)
    database = sqlite3.connect(live)
    late = database.execute("SELECT * FROM messages WHERE timestamp >= 1030").fetchall()
    database.execute("DELETE FROM messages WHERE timestamp >= 1030")
    database.commit()
    database.execute(f"PRAGMA journal_mode={journal}").fetchall()
    database.execute("PRAGMA wal_autocheckpoint=0")
    marks = ", ".join("?" * len(late[0]))
    database.executemany(f"INSERT INTO messages VALUES ({marks})", late)
    database.commit()
    bag = folder / "bag"
    bag.mkdir()
    for suffix in ("", *beside):
        shutil.copy(f"{live}{suffix}", bag / f"drive_0.db3{suffix}")
    database.close()
    return bag


@pytest.mark.parametrize("beside", [("-wal", "-shm"), ("-wal",)])
def test_messages_that_a_recorder_had_not_merged_are_read(tmp_path, beside):
    bag = unmerged(tmp_path, "wal", beside)
    before = {f.name: f.read_bytes() for f in bag.iterdir()}
    found, notes = read(bag)
    assert found == ALL
    assert any("drive_0.db3-wal was left by the recorder, and was merged" in n for n in notes)
    assert {f.name: f.read_bytes() for f in bag.iterdir()} == before


def test_a_transaction_that_was_not_finished_is_undone(tmp_path):
    bag = tmp_path / "bag"
    bag.mkdir()
    live = file_of(write_bag(tmp_path / "source", SQLITE))
    database = sqlite3.connect(live)
    database.execute("PRAGMA cache_size=2")
    database.execute("PRAGMA cache_spill=1")
    database.execute("BEGIN")
    database.execute("DELETE FROM messages WHERE timestamp >= 1002")
    for file in live.parent.glob("*.db3*"):
        shutil.copy(file, bag)
    database.close()
    assert any(f.name.endswith("-journal") for f in bag.iterdir())
    assert read(bag)[0] == ALL


def split(folder: Path, parts: int = 12) -> Path:
    """A bag of several files, five messages in each."""
    bag = folder / "bag"
    bag.mkdir()
    names = []
    for part in range(parts):
        one = write_bag(folder / f"part_{part}", MCAP, NONE, 5 * part, 5)
        names.append(f"bag_{part}.mcap")
        shutil.copy(file_of(one), bag / names[-1])
    text = (folder / "part_0" / "metadata.yaml").read_text()
    listed = "".join(f"  - {name}\n" for name in names)
    text = text.replace("  - part_0.mcap\n", listed, 1).replace(
        "message_count: 5\n", "message_count: 60\n"
    )
    (bag / "metadata.yaml").write_text(text)
    return bag


def test_parts_are_read_in_their_order_with_metadata_and_without(tmp_path):
    bag = split(tmp_path)
    assert read(bag) == (ALL, [])
    (bag / "metadata.yaml").unlink()
    assert read(bag)[0] == ALL


@pytest.mark.parametrize("part", [0, 7, 11])
def test_a_part_that_is_lost_is_named_and_the_others_are_read(tmp_path, part):
    bag = split(tmp_path)
    (bag / f"bag_{part}.mcap").unlink()
    found, notes = read(bag)
    assert found == [i for i in ALL if i // 5 != part]
    assert f"a part of the bag is lost: bag_{part}.mcap" in notes
    assert "metadata.yaml counts 60 messages, 55 are there" in notes


def test_a_part_that_is_no_bag_costs_the_others_nothing(tmp_path):
    bag = split(tmp_path)
    (bag / "bag_3.mcap").write_bytes(bytes(5000))
    found, notes = read(bag)
    assert found == [i for i in ALL if i // 5 != 3]
    assert any("bag_3.mcap begins with zeros: the disk was full" in n for n in notes)


def test_files_that_were_unpacked_packed_or_renamed_by_hand_are_found(tmp_path):
    packed = write_bag(tmp_path / "packed", MCAP, FILE)
    file = file_of(packed)
    (packed / "packed.mcap").write_bytes(zstd.decompress(file.read_bytes()))
    assert read(packed) == (ALL, [])
    file.unlink()
    assert read(packed) == (ALL, [])
    plain = write_bag(tmp_path / "plain", SQLITE)
    file = file_of(plain)
    (plain / f"{file.name}.zstd").write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    assert read(plain) == (ALL, [])
    file_of(plain).rename(plain / "monday.db3.zstd")
    found, notes = read(plain)
    assert found == ALL
    assert "metadata.yaml names plain.db3, which is not there: monday.db3.zstd was read" in notes[0]
    (plain / "metadata.yaml").unlink()
    (plain / "monday.db3").write_bytes(zstd.decompress(file_of(plain).read_bytes()))
    assert read(plain)[0] == ALL


@pytest.mark.parametrize(
    "change",
    [
        ("storage_identifier: mcap", "storage_identifier: ''"),
        ("version: 9", "version: 99"),
        ("compression_mode: ''", "compression_mode: FILE"),
    ],
)
def test_the_files_themselves_count_more_than_the_metadata(tmp_path, change):
    bag = write_bag(tmp_path / "bag")
    text = (bag / "metadata.yaml").read_text()
    assert change[0] in text
    (bag / "metadata.yaml").write_text(text.replace(*change))
    assert read(bag) == (ALL, [])


@pytest.mark.parametrize("text", ["", "{", "a: [1", "rosbag2_bagfile_information: 3", "\0\1\2"])
def test_metadata_that_cannot_be_read_are_said_and_passed_over(tmp_path, text):
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(text)
    found, notes = read(bag)
    assert found == ALL
    assert "metadata.yaml cannot be read; the files were read one by one" in notes[0]


def refusal(path) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        BagReader(path).__enter__()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_refusal_says_the_true_cause(tmp_path):
    old = tmp_path / "old.bag"
    with Ros1Writer(old) as writer:
        store = get_typestore(Stores.ROS1_NOETIC)
        topic = writer.add_connection("/a", "std_msgs/msg/String", typestore=store)
        message = store.types["std_msgs/msg/String"](data="x")
        writer.write(topic, 1, store.serialize_ros1(message, "std_msgs/msg/String"))
    assert f"is a bag of ROS 1: convert it with `rosbags-convert --src {old}" in refusal(old)
    assert "is a bag of ROS 1: convert it" in refusal(tmp_path)
    bags = tmp_path / "bags"
    write_bag(bags / "monday")
    write_bag(bags / "tuesday")
    assert "a folder of bags: name one of monday, tuesday" in refusal(bags)
    for name, data, reason in [
        ("empty.mcap", b"", "is empty"),
        ("zeros.mcap", bytes(9000), "begins with zeros: the disk was full"),
        ("words.txt", b"some words that are no bag", "is no bag: it is neither MCAP nor SQLite"),
        ("broken.mcap.zstd", zstd.compress(b"x" * 90)[:12], "cannot read .*cut off or damaged"),
        ("words.zstd", zstd.compress(b"no bag"), "is no bag: it is neither MCAP nor SQLite"),
        ("short.mcap", b"\x89MCAP0\r\n\x01\0\0", "not one whole message"),
    ]:
        (tmp_path / name).write_bytes(data)
        said = refusal(tmp_path / name)
        assert re.search(reason, said), said
    lost = write_bag(tmp_path / "lost")
    file_of(lost).unlink()
    assert "none of the files that metadata.yaml names is there (lost.mcap)" in refusal(lost)
    other = write_bag(tmp_path / "other")
    text = (other / "metadata.yaml").read_text()
    text = text.replace("compression_format: ''", "compression_format: lzma")
    (other / "metadata.yaml").write_text(text)
    assert "packed with lzma, and only zstd is read" in refusal(other)


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
