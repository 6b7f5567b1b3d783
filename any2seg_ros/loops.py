"""How loops over pixels and triangles are compiled: once, and kept beside the modules.

A compiled loop lets go of the interpreter: others run Python meanwhile.
"""

from __future__ import annotations

from numba import njit

compiled = njit(cache=True, nogil=True, error_model="numpy")
"""Divisions by zero give infinity, as in NumPy."""
inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
"""For functions of one pixel, which loops call: calls with many arguments are dear."""
