"""Files that are there whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end of the block; its folder is made.

    Where the block fails nothing is left, and what was at `path` stays.
    """
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """Where this process builds what is going to be `path`, a file or a folder."""
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def clear_parts(path: Path) -> None:
    """Remove what those who were building `path` left when they were killed."""
    path = Path(path)
    for part in path.parent.glob(f".{path.name}.*.part"):
        process = part.name.split(".")[-2]
        if process == str(os.getpid()) or not Path("/proc", process).exists():
            shutil.rmtree(part) if part.is_dir() else part.unlink()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file; a reader sees the old one or the new one, never half of it."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def checksum(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal; nothing where there is no file."""
    path = Path(path)
    if not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
