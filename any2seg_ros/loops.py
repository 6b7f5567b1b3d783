"""How loops over pixels and triangles are compiled: once, and kept beside the modules.

A compiled loop lets go of the interpreter: others run Python meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import IndexDataCacheFile

_DIGEST = 32


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    """Divisions by zero give infinity, as in NumPy."""
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        loop = njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write, as on a read-only system: compiled by every process
        return njit(**options)(function)
    if hasattr(loop, "_cache"):  # not with NUMBA_DISABLE_JIT
        loop._cache = KeptLoops(loop._cache)
    return loop


class KeptLoops:
    """numba's files of a compiled function; where they are damaged or there is no space for them,
    it is compiled. numba itself would end with an exception, or run altered code."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        file = cache._cache_file
        file.__class__ = CheckedLoops
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """The compiled function, or None."""
        try:
            return self._cache.load_overload(*arguments)
        except Exception:  # what reading altered pickles raises may be anything
            with suppress(OSError):
                self._cache.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep a compiled function, if that is possible."""
        with suppress(Exception):  # an index that is altered, and that no other could replace
            self._cache.save_overload(*arguments)


class CheckedLoops(IndexDataCacheFile):
    """numba's files with a digest at the end, which pickle does not read."""

    def _dump(self, obj: Any) -> bytes:
        content = super()._dump(obj)
        return content + hashlib.sha256(content).digest()

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
            raise ValueError(f"{name} was altered")
        return super()._load_data(name)


compiled = _compile
inlined = partial(_compile, forceinline=True)
"""For functions of one pixel, which loops call: calls with many arguments are dear."""
