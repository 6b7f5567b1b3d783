"""Reads ROS 2 bags, MCAP or SQLite, whole or broken, through `rosbags`.

with BagReader(path) as bag:
    for recorded in bag.messages(["/rgb/image/compressed"]):
        recorded.topic, recorded.log_time, recorded.message
bag.notes      # what was left out, in words for people
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_idl, get_types_from_msg

from any2seg_ros.bags.offers import offers_of
from any2seg_ros.bags.parts import Parts, ready
from any2seg_ros.bags.salvage import SalvagedFile, is_whole
from any2seg_ros.bags.sqlite import SalvagedDatabase, check_tables
from any2seg_ros.bags.stamps import STAMP_OFFSET, header_stamp
from any2seg_ros.bags.typestore import typestore
from any2seg_ros.bags.unpacking import ZSTD, bound_rosbags, check_together, unpack
from any2seg_ros.messages import with_header
from any2seg_ros.messages.offers import Offer, unique

bound_rosbags()


@dataclass(frozen=True)
class Recorded:
    """A message as the recorder saw it: the time in ns at which it arrived, and the message."""

    topic: str
    type: str
    log_time: int
    message: Any


class Part(Protocol):
    """One file of a bag, open."""

    topics: dict[str, str]
    """Message type by topic."""
    definitions: list[tuple[str, str, str]]
    """Type, text and encoding (ros2msg, ros2idl) of message definitions."""
    counts: Counter[str]
    """Messages by topic."""
    start: int
    end: int
    note: str

    def messages(self, topics: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, log time in ns, serialised message)."""

    def close(self) -> None:
        """Close the file."""


class WholeFile:
    """A file with an index, read by rosbags; ValueError, or what rosbags raises, for others."""

    def __init__(self, path: Path) -> None:
        self.note = ""
        self._reader = Reader(path)
        self._reader.open()
        reader = self._reader
        try:
            check_together(_chunks(reader))
        except ValueError:
            reader.close()
            raise
        self.topics = {c.topic: c.msgtype for c in reader.connections}
        self.offers: dict[str, tuple[Offer, ...]] = {}
        self.counts: Counter[str] = Counter()
        self.definitions: list[tuple[str, str, str]] = []
        for connection in reader.connections:
            self.counts[connection.topic] += connection.msgcount
            known = self.offers.get(connection.topic, ())
            self.offers[connection.topic] = unique((*known, *offers_of(connection)))
            form = connection.msgdef.format
            if form != MessageDefinitionFormat.NONE:
                encoding = "ros2idl" if form == MessageDefinitionFormat.IDL else "ros2msg"
                self.definitions.append((connection.msgtype, connection.msgdef.data, encoding))
        if sum(self.counts.values()) < reader.message_count:
            # Not all writers count by topic.
            self.counts.update(topic for topic, *_ in self.messages(None))
        self.start = reader.start_time if reader.message_count else 0
        self.end = reader.end_time if reader.message_count else 0
        encodings = {getattr(c.ext, "serialization_format", "cdr") for c in reader.connections}
        if encodings - {"cdr", ""}:
            self.note = f"messages that are {' and '.join(encodings - {'cdr'})} cannot be read"

    def messages(self, topics: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, log time in ns, serialised message), in order of log time."""
        chosen = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not chosen:
            return
        try:
            for connection, log_time, data in self._reader.messages(chosen):
                yield connection.topic, connection.msgtype, log_time, bytes(data)
        except Exception as error:  # any of rosbags', zstd's, lz4's or SQLite's
            self.note = f"the bag is damaged, what follows is left out: {_line(error)}"

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def _chunks(reader: Reader) -> list[tuple[int, int, int]]:
    """Begin, end (ns) and unpacked bytes of the chunks of an MCAP file by its index."""
    chunks = getattr(reader.storage, "chunks", ())
    return [(c.message_start_time, c.message_end_time, c.uncompressed_size) for c in chunks]


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
        self.recorded = 0
        """Messages in it when it was recorded, by its metadata; 0 where they do not say."""
        self.counts: Counter[str] = Counter()
        """Messages by topic."""
        self.offers: dict[str, tuple[Offer, ...]] = {}
        """With which QoS topics were published, where the recorder wrote it down."""
        self._typestore = typestore()
        self._known = set(self._typestore.types)
        self._parts: list[Part] = []

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
        for part in self._parts:
            part.close()
        self._parts.clear()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Messages of the topics (all, if not given) in order of log time.

        Memory does not grow with the bag. A message that cannot be deserialised, and what lies
        behind damaged data, is left out and noted.
        """
        damaged = 0
        why = ""
        for topic, kind, log_time, data in self._raw(topics):
            try:
                data = _plain(data)
                message = self._typestore.deserialize_cdr(data, kind)
            except Exception as error:  # rosbags raises whatever the bytes made it trip over
                damaged += 1
                why = why or self._why(kind, error)
                continue
            yield Recorded(topic, kind, log_time, with_header(message))
        if damaged:
            self._note(f"{damaged} messages could not be deserialised and were left out{why}")

    def _why(self, kind: str, error: Exception) -> str:
        if kind not in self._known:
            return f": the type {kind} is not known, and the bag does not define it"
        return f": {error}" if "zstd" in str(error) else ""

    def serialized(
        self, topics: Collection[str] | None = None
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, log time in ns, message as DDS carries it); what is damaged is left out."""
        for topic, kind, log_time, data in self._raw(topics):
            try:
                yield topic, kind, log_time, _plain(data)
            except ValueError:
                continue

    def header_stamps(self, topics: Collection[str]) -> Iterator[tuple[int, int]]:
        """(log time, header.stamp) in ns of messages that begin with a Header; none is decoded."""
        for _, _, log_time, data in self.serialized(topics):
            if len(data) >= STAMP_OFFSET + 8:
                yield log_time, header_stamp(data)

    def _raw(self, topics: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        """Messages in order of log time, where recorders wrote several files at a time, too.

        A file is begun when its first message is due: a long bag has hundreds.
        """
        waiting = sorted(self._parts, key=lambda part: part.start, reverse=True)
        begun: list[tuple[int, int, tuple[str, str, int, bytes]]] = []
        streams: list[tuple[Part, Iterator[tuple[str, str, int, bytes]]]] = []

        def advance(number: int) -> None:
            part, stream = streams[number]
            row = next(stream, None)
            if row is not None:
                heappush(begun, (row[2], number, row))
            elif part.note:
                self._note(part.note)

        while waiting or begun:
            if waiting and (not begun or waiting[-1].start <= begun[0][0]):
                part = waiting.pop()
                streams.append((part, part.messages(topics)))
                advance(len(streams) - 1)
                continue
            _, number, row = heappop(begun)
            yield row
            advance(number)

    def _open(self) -> None:
        parts = Parts(self.path)
        refused: list[str] = []
        for file in parts.files:
            path = file
            try:
                path, kind, notes = ready(file)
                part = self._open_part(path, kind)
            except ValueError as error:
                refused.append(str(error).replace(str(path), str(file)))
                continue
            for note in notes:
                self._note(note)
            self._parts.append(part)
            self.topics |= part.topics
            self.counts.update(part.counts)
            for topic, offers in getattr(part, "offers", {}).items():
                self.offers[topic] = unique((*self.offers.get(topic, ()), *offers))
            for definition in part.definitions:
                self._register(*definition)
        if not self._parts:
            raise ValueError(refused[0])
        for note in (*parts.notes, *(f"left out: {error}" for error in refused)):
            self._note(note)
        self._read_extent()
        self.recorded = parts.counted
        parts.count(self.message_count)
        for note in parts.notes:
            self._note(note)

    def _open_part(self, path: Path, kind: str) -> Part:
        salvage: Callable[[Path], SalvagedFile | SalvagedDatabase] = _salvaged
        if kind == "db3":
            check_tables(path)
            salvage = SalvagedDatabase
        elif not is_whole(path):
            return _salvaged(path)
        try:
            return WholeFile(path)
        except Exception as error:  # whatever made rosbags trip: what can be read is read
            cause = _line(error)
        try:
            part = salvage(path)
        except ValueError as error:
            raise ValueError(f"cannot read the bag {path}: {cause}; {error}") from None
        part.note = part.note or f"{path.name} is damaged ({cause}): read from its beginning"
        return part

    def _read_extent(self) -> None:
        filled = [part for part in self._parts if part.end]
        self.message_count = sum(self.counts.values())
        if filled:
            self.start = min(part.start for part in filled)
            self.duration = max(part.end for part in filled) - self.start

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


def _plain(data: bytes) -> bytes:
    """A serialised message, of recorders that pack messages one by one too; ValueError."""
    return unpack("zstd", data) if data[:4] == ZSTD else data


def _salvaged(path: Path) -> SalvagedFile:
    """An MCAP file, read from its beginning; ValueError where none of it is of ROS 2."""
    part = SalvagedFile(path)
    if part.encodings & {"cdr", ""}:
        return part
    part.close()
    if "ros1" in part.encodings:
        raise ValueError(
            f"{path} is a bag of ROS 1 in MCAP: convert the .bag that it was made of with "
            "`rosbags-convert --src FILE.bag --dst FOLDER`"
        )
    raise ValueError(f"{path} has no messages of ROS 2 (cdr): they are {sorted(part.encodings)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
