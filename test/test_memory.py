"""Memory that is given back."""

from __future__ import annotations

import gc
import weakref

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
