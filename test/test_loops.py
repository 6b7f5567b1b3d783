"""Loops are compiled, and do without a place where that could be kept."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from any2seg_ros import loops


def test_loops_compile_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(loops, "njit", read_only)
    inverse = loops.compiled(lambda x: 1.0 / x)
    assert inverse(np.float64(4.0)) == 0.25
    assert inverse(np.float64(0.0)) == np.inf
