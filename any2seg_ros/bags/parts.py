"""The files of a bag: which there are, in their order, and which are lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from any2seg_ros.bags import sqlite, unpacking
from any2seg_ros.bags.file import ENDINGS, METADATA
from any2seg_ros.bags.salvage import MAGIC as MCAP

_METADATA_LARGEST = 4 << 20
_ROS1 = b"#ROSBAG V"


class _PlainLoader(yaml.SafeLoader):
    """Refuses what stands for another part of the file: some of it stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has aliases, which no recorder writes")
        return super().compose_node(parent, index)


class Parts:
    """The files of the bag at `path`: a folder, or one of its files.

    FileNotFoundError or ValueError, with the cause and what to do, where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.counted = 0
        """Messages in the bag by its metadata; 0 where it does not say."""
        if not path.exists():
            raise FileNotFoundError(f"there is no bag at {path}")
        self.files = [path] if path.is_file() else self._in_folder()

    def _in_folder(self) -> list[Path]:
        found = sorted(
            (f for f in self.path.iterdir() if f.is_file() and f.name.endswith(ENDINGS)),
            key=_natural,
        )
        metadata = self._metadata()
        if metadata is not None:
            return self._by_metadata(metadata, found)
        if not found:
            raise ValueError(_nothing(self.path))
        # What was unpacked by hand lies beside what it was made of.
        names = {f.name for f in found}
        return [f for f in found if f.name.removesuffix(".zstd") not in names - {f.name}]

    def _metadata(self) -> Mapping[str, Any] | None:
        file = self.path / METADATA
        if not file.exists():
            self.notes.append(f"{METADATA} is missing; the files were read one by one")
            return None
        try:
            if file.stat().st_size > _METADATA_LARGEST:
                raise ValueError("it is absurdly large")
            text = file.read_text(encoding="utf-8", errors="replace")
            read = yaml.load(text, Loader=_PlainLoader)  # a SafeLoader
            metadata = read["rosbag2_bagfile_information"]
            names = [str(name) for name in metadata["relative_file_paths"]]
        except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
            why = " ".join(str(error).split())[:200]
            self.notes.append(f"{METADATA} cannot be read; the files were read one by one: {why}")
            return None
        form = str(metadata.get("compression_format") or "zstd").lower()
        if form not in ("zstd", "none"):
            raise ValueError(
                f"the bag {self.path} is packed with {form}, and only zstd is read: convert it "
                "with `ros2 bag convert`"
            )
        count = metadata.get("message_count")
        self.counted = count if isinstance(count, int) else 0
        return {"names": names}

    def _by_metadata(self, metadata: Mapping[str, Any], found: list[Path]) -> list[Path]:
        """The files that the metadata name, or what became of them."""
        by_name = {f.name: f for f in found}
        files, lost = [], []
        for name in (PurePath(name).name for name in metadata["names"]):
            plain = name.removesuffix(".zstd")
            there = by_name.get(name) or by_name.get(plain) or by_name.get(plain + ".zstd")
            if there is None:
                lost.append(name)
            elif there not in files:
                files.append(there)
        others = [f for f in found if f.name.removesuffix(".zstd") not in _unpacked_names(files)]
        if not lost:
            return files
        if others:
            self.notes.append(
                f"{METADATA} names {', '.join(lost)}, which is not there: "
                f"{', '.join(f.name for f in others)} was read instead"
            )
            return sorted((*files, *others), key=_natural)
        if not files:
            raise ValueError(
                f"cannot read the bag {self.path}: none of the files that {METADATA} names is "
                f"there ({', '.join(lost)})"
            )
        self.notes.append(f"a part of the bag is lost: {', '.join(lost)}")
        return files

    def count(self, messages: int) -> None:
        """Say how many messages were found where the metadata count more."""
        if messages < self.counted:
            self.notes.append(f"{METADATA} counts {self.counted} messages, {messages} are there")


def _unpacked_names(files: list[Path]) -> set[str]:
    return {f.name.removesuffix(".zstd") for f in files}


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """x_2 comes before x_10."""
    words = re.split(r"(\d+)", path.name)
    return [(1, int(word[:18]), "") if word.isdigit() else (0, 0, word) for word in words]


def _nothing(path: Path) -> str:
    old = sorted(path.glob("*.bag"))
    if old:
        return _convert(old[0])
    inner = sorted(f.parent.name for f in path.glob(f"*/{METADATA}"))
    if inner:
        return f"{path} is no bag, but a folder of bags: name one of {', '.join(inner[:10])}"
    return f"{path} is no bag: it has neither a .mcap nor a .db3 file, packed or not"


def _convert(path: Path) -> str:
    return (
        f"{path} is a bag of ROS 1: convert it with `rosbags-convert --src {path} "
        f"--dst {path.with_suffix('')}`"
    )


def ready(path: Path) -> tuple[Path, str, list[str]]:
    """A file of a bag as it can be read, its kind (mcap or db3), and notes.

    A file packed with zstd is unpacked, a log of SQLite's is merged: both in a copy. ValueError for
    what is no bag.
    """
    notes: list[str] = []
    source, head = path, _head(path)
    if head.startswith(unpacking.ZSTD):
        path, notes = unpacking.kept(path, lambda folder: unpacking.unpack_file(source, folder))
        head = _head(path)
    if head.startswith(MCAP):
        return path, "mcap", notes
    if head.startswith(sqlite.MAGIC):
        if sqlite.is_unmerged(path):
            path, more = unpacking.kept(path, lambda folder: sqlite.merge(source, folder))
            notes = [*notes, *more]
        return path, "db3", notes
    raise ValueError(_no_bag(source, head, notes))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _no_bag(path: Path, head: bytes, notes: list[str]) -> str:
    if notes:
        return f"cannot read {path}: {'; '.join(notes)}"
    if not head:
        return f"{path} is empty"
    if head.startswith(_ROS1):
        return _convert(path)
    if not any(head):
        return f"{path} begins with zeros: the disk was full, or the recorder died at once"
    return f"{path} is no bag: it is neither MCAP nor SQLite"
