"""Files that are there whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_ABANDONED_S = 7 * 24 * 3600.0
"""Age at which parts are removed whose processes cannot be looked for from here."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end of the block; its folder is made.

    Where the block fails nothing is left, and what was at `path` stays. The path to write to is a
    new file that only we know of; a symbolic link at `path` is replaced, not followed. OSError for
    a device such as /dev/stdout, which would be replaced for everybody.
    """
    _check_no_device(Path(path))
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(part, _CREATE, 0o666))
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _check_no_device(path: Path) -> None:
    system = path.absolute().parts[:2] in (("/", "dev"), ("/", "proc"))
    if system and path.exists() and (path.is_symlink() or not path.is_file()):
        raise OSError(f"{path} is no file: write to one, and print that")


def part_of(path: Path) -> Path:
    """Where this process builds what is going to be `path`, a file or a folder.

    Another name each time, which nobody can guess and put a link there.
    """
    path = Path(path)
    return path.with_name(f".{path.name}.{_place()}-{os.getpid()}.{secrets.token_hex(8)}.part")


def clear_parts(path: Path) -> None:
    """Remove what those who were building `path` left when they were killed.

    What other machines and containers are writing there is left alone for a week.
    """
    path = Path(path)
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        place, _, process = part.name.split(".")[-3].rpartition("-")
        dead = process == str(os.getpid()) or not Path("/proc", process).exists()
        with suppress(OSError):  # somebody else removes it, too
            if dead if place == _place() else _age(part) > _ABANDONED_S:
                folder = part.is_dir() and not part.is_symlink()
                shutil.rmtree(part) if folder else part.unlink()


@cache
def _place() -> str:
    """Where process ids mean the same: the machine and its namespace of processes."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


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
