"""Memory that is given back."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import pytest

from any2seg_ros import memory


class _Holder:
    """Holds itself, as threads, callbacks and a network hold each other."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("frozen", [False, True])
def test_what_holds_itself_is_freed_even_if_it_was_frozen(frozen) -> None:
    gc.collect()
    holder = _Holder()
    left = weakref.ref(holder)
    if frozen:
        gc.freeze()
    del holder
    try:
        memory.collect()
        assert left() is None
        assert (gc.get_freeze_count() > 0) == frozen
    finally:
        gc.unfreeze()


def test_trimming_is_done_without_a_word_where_there_is_another_libc(monkeypatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.trim()


def resident_code() -> int:
    """kB of the compiler's code that this process has mapped."""
    found, code = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *words = line.split()
        if first.count("-") == 1 and first[-1] != ":":
            code = words[0] == "r-xp" and "libllvmlite" in line
        elif first == "Rss:" and code:
            found += int(words[0])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc")
def test_the_compiler_s_code_goes_and_comes_back() -> None:
    import numba

    assert numba.njit(lambda x: x + 1)(1) == 2
    before = resident_code()
    memory.trim()
    assert before > 1000 and resident_code() < before / 10
    assert numba.njit(lambda x: x + 2)(1) == 3
    assert resident_code() > before / 10
