"""Memory that holds nothing goes back to the system, so that others on the vehicle have it."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_COMPILER = "libllvmlite"
"""Numba's compiler: 50 MB of code for the moment in which a loop is compiled or loaded."""
_DONTNEED = 4
"""MADV_DONTNEED of Linux' sys/mman.h."""


def trim() -> None:
    """Give back the pages that glibc's malloc keeps of what was freed, and those of the compiler's
    code: some milliseconds. Code that is called after all comes back from its file."""
    with suppress(OSError, AttributeError):  # another libc, or no Linux
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        for begin, end in _code_of(_COMPILER):
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)


def _code_of(library: str) -> Iterator[tuple[int, int]]:
    """Where the code of a library is mapped: nothing that was written to, so that it can go."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, rights, *_, path = line.split(maxsplit=5)
        if rights == "r-xp" and Path(path).name.startswith(library):
            begin, _, end = where.partition("-")
            yield int(begin, 16), int(end, 16)


def collect() -> None:
    """As `trim`, and before it what only Python's collector of cycles would free, of what was
    frozen as well; what is left is frozen, if anything was."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
    trim()
