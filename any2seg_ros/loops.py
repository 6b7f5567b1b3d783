"""How loops over pixels and triangles are compiled: once, and kept beside the modules.

A compiled loop lets go of the interpreter: others run Python meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    """Divisions by zero give infinity, as in NumPy."""
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write, as on a read-only system: compiled by every process
        return njit(**options)(function)


compiled = _compile
inlined = partial(_compile, forceinline=True)
"""For functions of one pixel, which loops call: calls with many arguments are dear."""
