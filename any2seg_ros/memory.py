"""Memory that holds nothing goes back to the system, so that others on the vehicle have it."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def trim() -> None:
    """Give back the pages that glibc's malloc keeps of what was freed: some milliseconds."""
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).malloc_trim(0)


def collect() -> None:
    """As `trim`, and before it what only Python's collector of cycles would free, of what was
    frozen as well; what is left is frozen, if anything was."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
    trim()
