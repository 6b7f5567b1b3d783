"""Packed parts of bags, unpacked within bounds: what a header says of its size may be a lie."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from rosbags.rosbag2 import storage_mcap, storage_sqlite3

ZSTD = b"\x28\xb5\x2f\xfd"
LARGEST = 1 << 30
"""Bytes of a chunk or message at most, packed or unpacked."""
_BLOCK = 1 << 20
_RESERVE = 1 << 30
"""Bytes that are left free where files are unpacked."""
_RATIO = 1000
"""Bytes that a byte of a packed file becomes at most, on the average."""
_QOS = 1 << 16
"""Characters of the QoS of a topic's publishers at most."""
_KEPT = 4


def _zstd() -> Any:
    """The module of this Python's own zstd (3.14), or rosbags' backport of it, if there is one."""
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            return None
    return zstd


def _errors() -> tuple[type[BaseException], ...]:
    """What damaged data raise."""
    found = _zstd()
    if found is None:
        import zstandard as found  # type: ignore[import-not-found, no-redef]

    return (found.ZstdError, EOFError, MemoryError, OverflowError, RuntimeError)


_DAMAGED = _errors()


def unpack(compression: str, data: bytes, most: int | None = None) -> bytes:
    """The content of zstd or lz4 data, or as much of it as is there where they are cut off.

    ValueError where they are damaged, or would become more than `most` bytes (LARGEST).
    """
    if compression not in ("zstd", "lz4"):
        raise ValueError(f"unknown compression '{compression}'")
    most = LARGEST if most is None else most
    if most > LARGEST:
        raise ValueError(f"a size of {most} bytes is absurd")
    parts: list[bytes] = []
    room = most
    try:
        while data:
            part, more, data = _unpack_frame(compression, data, room)
            if more:
                raise ValueError(f"{compression} data become more than {most} bytes")
            parts.append(part)
            room -= len(part)
    except _DAMAGED as error:
        raise ValueError(f"damaged {compression} data: {error}") from None
    return b"".join(parts)


def _unpack_frame(compression: str, data: bytes, most: int) -> tuple[bytes, bool, bytes]:
    """The content of the first frame, whether there is more of it than `most`, and what follows."""
    decompressor = _decompressor(compression)
    if decompressor is None:
        import zstandard  # type: ignore[import-not-found]

        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        part = reader.read(most)
        return part, bool(reader.read(1)), b""
    part = decompressor.decompress(data, most)
    more = not decompressor.eof and not decompressor.needs_input
    if len(part) == most and not decompressor.eof and not more:
        more = bool(decompressor.decompress(b"", 1))
    return part, more, decompressor.unused_data if decompressor.eof else b""


def _decompressor(compression: str) -> Any:
    if compression == "lz4":
        from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

        return LZ4FrameDecompressor()
    module = _zstd()
    return None if module is None else module.ZstdDecompressor()


def _stream(file: BinaryIO) -> Any:
    module = _zstd()
    if module is not None:
        return module.open(file, "rb")
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


_kept: OrderedDict[tuple[str, int, int], tuple[tempfile.TemporaryDirectory, Path, list[str]]]
_kept = OrderedDict()


def kept(path: Path, make: Callable[[Path], tuple[Path, list[str]]]) -> tuple[Path, list[str]]:
    """What `make` writes of a file to a folder that it gets, and its notes, kept for a while.

    A bag is opened several times over a run: its last files stay unpacked until others come or
    the process ends.
    """
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _kept:
        folder = tempfile.TemporaryDirectory(prefix="any2seg_bag_")
        try:
            _kept[key] = (folder, *make(Path(folder.name)))
        except BaseException:
            folder.cleanup()
            raise
        while len(_kept) > _KEPT:
            # Whoever has it open still reads it: only its name goes.
            _kept.popitem(last=False)[1][0].cleanup()
    _kept.move_to_end(key)
    return _kept[key][1:]


def unpack_file(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """The content of a .zstd file as a file in `folder`, and notes; cut off where the file is.

    ValueError where there is no room for it, or where it becomes absurdly large.
    """
    out = folder / path.name.removesuffix(".zstd")
    most = max(_RATIO * path.stat().st_size, _RESERVE)
    written = 0
    notes: list[str] = []
    with path.open("rb") as file, out.open("wb") as target:
        stream = _stream(file)
        while True:
            try:
                block = stream.read1(_BLOCK)
            except _DAMAGED as error:
                notes.append(f"{path.name} is cut off or damaged: {error}")
                break
            if not block:
                break
            written += len(block)
            if written > most:
                raise ValueError(f"{path} becomes more than {most} bytes: it is no recording")
            check_room(folder, len(block), f"unpack it with `zstd -d {path.name}`")
            target.write(block)
    if not written:
        raise ValueError(f"cannot read {path}: {'; '.join(notes) or 'it is empty'}")
    return out, notes


def check_room(folder: Path, size: int, otherwise: str) -> None:
    """ValueError where `size` bytes more in `folder` would leave too little room on its disk."""
    if shutil.disk_usage(folder).free < size + _RESERVE:
        raise ValueError(
            f"no room in {folder.parent} for a copy of the bag: set TMPDIR to a larger disk, or "
            f"{otherwise}"
        )


def check_together(chunks: Iterable[tuple[int, int, int]]) -> None:
    """ValueError where chunks of the same time, which are all unpacked at once, are too large.

    chunks: begin, end and unpacked bytes of each.
    """
    steps = []
    for begin, end, size in chunks:
        steps += [(begin, 0, size), (max(begin, end), 1, -size)]
    together = 0
    for _, _, size in sorted(steps):
        together += size
        if together > LARGEST:
            raise ValueError(f"its chunks of one time become more than {LARGEST} bytes")


def _bounded_qos(parse: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """rosbags' reader of a topic's QoS, for texts as recorders write them: without aliases."""

    def parsed(text: Any) -> list[Any]:
        if isinstance(text, str) and (len(text) > _QOS or "&" in text):
            raise ValueError("the QoS of a topic are no recorder's")
        return parse(text)

    return parsed


def bound_rosbags() -> None:
    """Let rosbags unpack chunks within our bounds; its own become as large as they happen to be.

    And let it read no QoS whose YAML stands for more than it is.
    """
    for storage in (storage_mcap, storage_sqlite3):
        names = vars(storage)
        if "parse_qos" in names:
            names["parse_qos"] = _bounded_qos(names["parse_qos"])
    table = getattr(storage_mcap, "DECOMPRESSORS", None)
    if isinstance(table, dict):
        table["zstd"] = lambda data, size: unpack("zstd", data, size)
        table["lz4"] = lambda data, size: unpack("lz4", data, size)
