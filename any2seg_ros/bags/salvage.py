"""What can still be read of an MCAP file whose end was never written.

A recorder that dies leaves a file without the index that readers start from. The records before
the break are whole: this walks them in order. Format: https://mcap.dev/spec
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, FOOTER = 0x03, 0x04, 0x05, 0x06, 0x02


@dataclass(frozen=True)
class Channel:
    """A topic as the file declares it; `definition` is the text of its message type."""

    topic: str
    message_type: str
    definition: str
    definition_encoding: str


def is_whole(path: Path) -> bool:
    """Whether an MCAP file ends as it should."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
        file.seek(-min(len(MAGIC), path.stat().st_size), os.SEEK_END)
        return file.read() == MAGIC and path.stat().st_size > 2 * len(MAGIC)


class SalvagedFile:
    """The whole records of an MCAP file, read from its beginning.

    ValueError where the file is not MCAP at all. `lost` is the number of bytes at its end that
    were of no use; it is known when `messages` has come to its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Channel] = {}
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{path} is no MCAP file")

    def channels(self) -> list[Channel]:
        """Every topic declared before the break; walks the file once."""
        for _ in self._records(inside_messages=False):
            pass
        return list(self._channels.values())

    def messages(self) -> Iterator[tuple[Channel, int, bytes]]:
        """(channel, log time in ns, serialised message), in order of log time in each chunk."""
        for messages in self._records(inside_messages=True):
            for log_time, channel, data in sorted(messages, key=lambda m: m[0]):
                if channel in self._channels:
                    yield self._channels[channel], log_time, data

    def _records(self, inside_messages: bool) -> Iterator[list[tuple[int, int, bytes]]]:
        """Learn schemas and channels, and give the messages of each chunk (or single ones)."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            whole = len(MAGIC)
            while True:
                file.seek(whole)
                head = file.read(9)
                if len(head) < 9 or head[0] == FOOTER or head == MAGIC:
                    break
                kind, length = head[0], struct.unpack("<Q", head[1:])[0]
                if kind in (SCHEMA, CHANNEL, MESSAGE, CHUNK):
                    messages, sound = self._record(kind, file.read(length), inside_messages)
                    yield messages
                    if not sound:
                        break
                if whole + 9 + length > size:
                    break
                whole += 9 + length
        self.lost = size - whole

    def _record(
        self, kind: int, content: bytes, inside_messages: bool
    ) -> tuple[list[tuple[int, int, bytes]], bool]:
        """Messages of a record, and whether it is sound; of a cut chunk, those before the cut."""
        messages: list[tuple[int, int, bytes]] = []
        try:
            if kind != CHUNK:
                return self._parse(kind, content, inside_messages), True
            for inner, data in _inner_records(_decompress(content)):
                messages += self._parse(inner, data, inside_messages)
            return messages, True
        except (struct.error, ValueError, IndexError):
            return messages, False

    def _parse(
        self, kind: int, content: bytes, inside_messages: bool
    ) -> list[tuple[int, int, bytes]]:
        if kind == SCHEMA:
            name, at = _text(content, 2)
            encoding, at = _text(content, at)
            definition, _ = _text(content, at)
            self._schemas[struct.unpack_from("<H", content)[0]] = (name, definition, encoding)
        elif kind == CHANNEL:
            key, schema = struct.unpack_from("<HH", content)
            topic, _ = _text(content, 4)
            self._channels[key] = Channel(topic, *self._schemas.get(schema, ("", "", "")))
        elif kind == MESSAGE and inside_messages:
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
    compression, at = _text(chunk, 28)
    size = struct.unpack_from("<Q", chunk, at)[0]
    data = chunk[at + 8 : at + 8 + size]
    if not compression:
        return data
    if compression not in ("zstd", "lz4"):
        raise ValueError(f"unknown compression '{compression}'")
    try:
        decompressor = _zstd() if compression == "zstd" else _lz4()
        return bytes(decompressor.decompress(data))
    except Exception as error:
        raise ValueError(f"damaged {compression} data: {error}") from None


def _lz4() -> Any:
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

    return LZ4FrameDecompressor()


def _zstd() -> Any:
    """Whichever zstd this Python has: its own (3.14), rosbags' backport, or zstandard."""
    try:
        from compression.zstd import ZstdDecompressor  # type: ignore[import-not-found]
    except ImportError:
        try:
            from backports.zstd import ZstdDecompressor
        except ImportError:
            import zstandard  # type: ignore[import-not-found]

            return zstandard.ZstdDecompressor().decompressobj()
    return ZstdDecompressor()
