"""Files of byte strings with a checksum: one that was cut off or altered is no file."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_FIRST_LINE = b"any2seg-graph 1\n"
_PAGE = 4096
"""Bytes of the header, and what parts begin at a multiple of: they may be mapped."""


class CheckedFile:
    """A file that `write` made, mapped into memory; what is written there stays there.

    OSError where there is no file, ValueError where it is another one, cut off or altered.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError(f"no file at {path}")
        with path.open("rb") as file:
            lengths, expected = _header(file, path)
            begins = _begins(lengths)
            if os.fstat(file.fileno()).st_size != begins[-1]:
                raise ValueError(f"{path} is cut off")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        whole = memoryview(self._map)
        self.parts = [
            whole[begin : begin + length]
            for begin, length in zip(begins[:-1], lengths, strict=True)
        ]
        if _digest(self.parts) != expected:
            raise ValueError(f"{path} was altered")

    def release(self) -> None:
        """Give the memory back; what is read again comes from the file."""
        self._map.madvise(mmap.MADV_DONTNEED)


def write(path: Path, parts: Sequence[bytes]) -> None:
    """Write a file that everybody may read, whole or not at all; its folder is made.

    OSError where that cannot be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"lengths": [len(part) for part in parts], "sha256": _digest(parts)}
    # A name that nobody else has: other containers share process ids, and perhaps the folder.
    number, name = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write((_FIRST_LINE + json.dumps(header).encode() + b"\n").ljust(_PAGE, b"\0"))
            for part in parts:
                file.write(part + b"\0" * (-len(part) % _PAGE))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _header(file: BinaryIO, path: Path) -> tuple[list[int], str]:
    """The lengths of the parts and their digest."""
    if file.read(len(_FIRST_LINE)) != _FIRST_LINE:
        raise ValueError(f"{path} is no graph of any2seg")
    try:
        header = json.loads(file.readline(_PAGE))
        lengths, digest = [int(length) for length in header["lengths"]], header["sha256"]
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise ValueError(f"{path} has no header that can be read") from None
    if not lengths or min(lengths) < 0:
        raise ValueError(f"{path} has no parts")
    return lengths, digest


def _begins(lengths: Sequence[int]) -> list[int]:
    """Where each part begins in the file, and where the file ends."""
    begins = [_PAGE]
    for length in lengths:
        begins.append(begins[-1] + length + -length % _PAGE)
    return begins


def _digest(parts: Sequence[bytes | memoryview]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
