"""Reads ROS 2 bags, MCAP or SQLite, whole or broken, through `rosbags`.

with BagReader(path) as bag:
    for recorded in bag.messages(["/rgb/image/compressed"]):
        recorded.topic, recorded.log_time, recorded.message
bag.notes      # what was left out, in words for people
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import get_types_from_idl, get_types_from_msg

from any2seg_ros.bags.file import METADATA
from any2seg_ros.bags.salvage import SalvagedFile, is_whole
from any2seg_ros.bags.stamps import STAMP_OFFSET, header_stamp
from any2seg_ros.bags.typestore import typestore


@dataclass(frozen=True)
class Recorded:
    """A message as the recorder saw it: the time in ns at which it arrived, and the message."""

    topic: str
    type: str
    log_time: int
    message: Any


class BagReader:
    """A bag folder or a single .mcap or .db3 file; use it in a `with` statement.

    FileNotFoundError or ValueError where nothing can be read. A file that was cut off is read up
    to the break; `notes` says what was left out, completely after `messages` has come to its end.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self.topics: dict[str, str] = {}
        """Message type by topic."""
        self.start = 0
        """The log time of the first message in ns."""
        self.duration = 0
        """Time from the first to the last message in ns; 0 where it is not known."""
        self.message_count = 0
        """Messages in the bag; 0 where it is not known."""
        self._typestore = typestore()
        self._known = set(self._typestore.types)
        self._readers: list[Reader] = []
        self._salvaged: list[SalvagedFile] = []

    def __enter__(self) -> BagReader:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        self._salvaged.clear()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Messages of the topics (all, if not given) in order of log time.

        Memory does not grow with the bag. A message that cannot be deserialised, and what lies
        behind damaged data, is left out and noted.
        """
        damaged = 0
        for topic, kind, log_time, data in self._raw(topics):
            try:
                message = self._typestore.deserialize_cdr(data, kind)
            except Exception:  # rosbags raises whatever the bytes made it trip over
                damaged += 1
                continue
            yield Recorded(topic, kind, log_time, message)
        if damaged:
            self._note(f"{damaged} messages could not be deserialised and were left out")

    def header_stamps(self, topics: Collection[str]) -> Iterator[tuple[int, int]]:
        """(log time, header.stamp) in ns of messages that begin with a Header; none is decoded."""
        for _, _, log_time, data in self._raw(topics):
            if len(data) >= STAMP_OFFSET + 8:
                yield log_time, header_stamp(data)

    def _raw(self, topics: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        for reader in self._readers:
            chosen = [c for c in reader.connections if topics is None or c.topic in topics]
            if not chosen:
                continue
            try:
                for connection, log_time, data in reader.messages(chosen):
                    yield connection.topic, connection.msgtype, log_time, bytes(data)
            except Exception as error:  # any of rosbags', zstd's, lz4's or SQLite's
                self._note(f"the bag is damaged, what follows is left out: {_line(error)}")
        for file in self._salvaged:
            for channel, log_time, data in file.messages():
                if topics is None or channel.topic in topics:
                    yield channel.topic, channel.message_type, log_time, data
            self._note(
                f"{file.path.name} ends in the middle: {file.lost} bytes at its end are left out"
            )

    def _open(self) -> None:
        if not self.path.exists():
            raise FileNotFoundError(f"there is no bag at {self.path}")
        broken = [f for f in self._files() if f.suffix == ".mcap" and not is_whole(f)]
        if broken:
            self._open_single_files(self._files())
        elif self.path.is_dir() and not (self.path / METADATA).exists():
            self._note(f"{METADATA} is missing; the files were read one by one")
            self._open_single_files(self._files())
        else:
            self._open_whole(self.path)
        self._read_extent()

    def _files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        files = sorted(f for f in self.path.iterdir() if f.suffix in (".mcap", ".db3"))
        if not files:
            raise ValueError(f"{self.path} is no bag: it has neither a .mcap nor a .db3 file")
        return files

    def _open_single_files(self, files: list[Path]) -> None:
        for file in files:
            if file.suffix == ".mcap" and not is_whole(file):
                salvaged = SalvagedFile(file)
                self._salvaged.append(salvaged)
                for channel in salvaged.channels():
                    self.topics[channel.topic] = channel.message_type
                    encoding = channel.definition_encoding
                    self._register(channel.message_type, channel.definition, encoding)
            else:
                self._open_whole(file)
        if not self.topics:
            raise ValueError(f"{self.path} is broken: not one whole message is in it")

    def _open_whole(self, path: Path) -> None:
        try:
            reader = Reader(path)
            reader.open()
        except ReaderError as error:
            raise ValueError(f"cannot read the bag {path}: {_line(error)}") from None
        except Exception as error:  # SQLite's errors come as they are
            raise ValueError(f"cannot read the bag {path}: {_line(error)}") from None
        self._readers.append(reader)
        for connection in reader.connections:
            self.topics[connection.topic] = connection.msgtype
            self._register_connection(connection)

    def _read_extent(self) -> None:
        whole = [r for r in self._readers if r.message_count]
        if whole and not self._salvaged:
            self.start = min(r.start_time for r in whole)
            self.duration = max(r.end_time for r in whole) - self.start
            self.message_count = sum(r.message_count for r in whole)
        elif self._salvaged or self._readers:
            first = next(self._raw(None), None)
            self.notes = [n for n in self.notes if "ends in the middle" not in n]
            self.start = first[2] if first else 0

    def _register_connection(self, connection: Connection) -> None:
        definition = connection.msgdef
        if definition.format == MessageDefinitionFormat.NONE:
            return
        idl = definition.format == MessageDefinitionFormat.IDL
        self._register(connection.msgtype, definition.data, "ros2idl" if idl else "ros2msg")

    def _register(self, kind: str, definition: str, encoding: str) -> None:
        """Learn a type from the bag itself, so that any message of any package can be read."""
        if kind in self._known or not definition:
            return
        try:
            if encoding == "ros2msg":
                types = get_types_from_msg(definition, kind)
            else:
                types = get_types_from_idl(definition)
            fresh = {name: t for name, t in types.items() if name not in self._known}
            self._typestore.register(fresh)
            self._known |= set(fresh)
        except Exception as error:
            self._note(f"the definition of {kind} in the bag cannot be read: {_line(error)}")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
