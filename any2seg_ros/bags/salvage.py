"""What can still be read of an MCAP file whose end was never written.

A recorder that dies leaves a file without the index that readers start from. The records before
the break are whole: this walks them in order. Format: https://mcap.dev/spec
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from any2seg_ros.bags.unpacking import LARGEST, unpack

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, FOOTER = 0x03, 0x04, 0x05, 0x06, 0x02


@dataclass(frozen=True)
class Channel:
    """A topic as the file declares it; `definition` is the text of its message type."""

    topic: str
    message_type: str
    definition: str
    definition_encoding: str
    encoding: str = "cdr"


def is_whole(path: Path) -> bool:
    """Whether an MCAP file ends as it should."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
        file.seek(-min(len(MAGIC), path.stat().st_size), os.SEEK_END)
        return file.read() == MAGIC and path.stat().st_size > 2 * len(MAGIC)


class SalvagedFile:
    """The whole records of an MCAP file, read from its beginning, without its index.

    ValueError where the file is not MCAP at all, or not one whole message is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note = ""
        """What was left out; known when `messages` has come to its end."""
        self.start = self.end = 0
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Channel] = {}
        self._file = path.open("rb")
        counts: Counter[int] = Counter()
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{path} is no MCAP file")
            for messages in self._records():
                for log_time, key, _ in messages:
                    counts[key] += 1
                    self.start = min(self.start or log_time, log_time)
                    self.end = max(self.end, log_time)
        except BaseException:
            self.close()
            raise
        known = {key: channel for key, channel in self._channels.items() if channel.message_type}
        self.topics = {c.topic: c.message_type for c in known.values()}
        self.definitions = [
            (c.message_type, c.definition, c.definition_encoding) for c in known.values()
        ]
        self.encodings = {c.encoding for c in known.values()}
        self.counts = Counter({c.topic: counts[key] for key, c in known.items()})
        if not any(self.counts.values()):
            self.close()
            raise ValueError(f"{path} is broken: not one whole message is in it")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(self, topics: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, log time in ns, serialised message), in order of log time in each chunk.

        Of `topics` alone: what has no type, as JSON without a schema, is left out.
        """
        for messages in self._records():
            for log_time, key, data in sorted(messages, key=lambda m: m[0]):
                channel = self._channels.get(key)
                if channel and channel.message_type and (topics is None or channel.topic in topics):
                    yield channel.topic, channel.message_type, log_time, data

    def _records(self) -> Iterator[list[tuple[int, int, bytes]]]:
        """Learn schemas and channels, and give the messages of each chunk (or single ones)."""
        size = (
            self.path.stat().st_size
            if self.path.exists()
            else os.fstat(self._file.fileno()).st_size
        )
        whole = len(MAGIC)
        while True:
            self._file.seek(whole)
            head = self._file.read(9)
            if len(head) < 9 or head[0] == FOOTER or head == MAGIC:
                break
            kind, length = head[0], struct.unpack("<Q", head[1:])[0]
            if kind in (SCHEMA, CHANNEL, MESSAGE, CHUNK):
                there = min(length, size - whole - 9)
                if there > LARGEST or (there < length and kind != CHUNK):
                    break
                messages, sound = self._record(kind, self._file.read(there))
                yield messages
                if not sound:
                    break
            if length > size - whole - 9:
                break
            whole += 9 + length
        lost = size - whole
        if lost and not (len(head) == 9 and head[0] == FOOTER):
            self.note = f"{self.path.name} ends in the middle: {lost} bytes at its end are left out"

    def _record(self, kind: int, content: bytes) -> tuple[list[tuple[int, int, bytes]], bool]:
        """Messages of a record, and whether it is sound; of a cut chunk, those before the cut."""
        messages: list[tuple[int, int, bytes]] = []
        try:
            if kind != CHUNK:
                return self._parse(kind, content), True
            for inner, data in _inner_records(_decompress(content)):
                messages += self._parse(inner, data)
            return messages, True
        except (struct.error, ValueError, IndexError):
            return messages, False

    def _parse(self, kind: int, content: bytes) -> list[tuple[int, int, bytes]]:
        if kind == SCHEMA:
            name, at = _text(content, 2)
            encoding, at = _text(content, at)
            definition, _ = _text(content, at)
            self._schemas[struct.unpack_from("<H", content)[0]] = (name, definition, encoding)
        elif kind == CHANNEL:
            key, schema = struct.unpack_from("<HH", content)
            topic, at = _text(content, 4)
            encoding, _ = _text(content, at)
            known = self._schemas.get(schema, ("", "", ""))
            self._channels[key] = Channel(topic, *known, encoding)
        elif kind == MESSAGE:
            channel, _, log_time, _ = struct.unpack_from("<HIQQ", content)
            return [(log_time, channel, content[22:])]
        return []


def _inner_records(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 9 <= len(content):
        kind, length = struct.unpack_from("<BQ", content, at)
        if at + 9 + length > len(content):
            raise ValueError("a record reaches beyond its chunk")
        yield kind, content[at + 9 : at + 9 + length]
        at += 9 + length


def _text(content: bytes, at: int) -> tuple[str, int]:
    length = struct.unpack_from("<I", content, at)[0]
    end = at + 4 + length
    if end > len(content):
        raise ValueError("a text reaches beyond its record")
    return content[at + 4 : end].decode(), end


def _decompress(chunk: bytes) -> bytes:
    """The records of a chunk; of one that was cut off, as many bytes as can be had."""
    (unpacked,) = struct.unpack_from("<Q", chunk, 16)
    compression, at = _text(chunk, 28)
    size = struct.unpack_from("<Q", chunk, at)[0]
    data = chunk[at + 8 : at + 8 + size]
    return unpack(compression, data, unpacked) if compression else data
