"""Bags as recorders, and those who move them about, leave them; and files that lie."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from any2seg_ros.bags import BagReader

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


ALIASES = "a: &a [x]\nrosbag2_bagfile_information: {relative_file_paths: [*a, *a]}\n"


@pytest.mark.parametrize(
    "text", ["", "{", "a: [1", "rosbag2_bagfile_information: 3", "\0\1\2", ALIASES]
)
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
