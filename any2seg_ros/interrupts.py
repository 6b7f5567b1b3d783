"""Ctrl-C at times when it would leave half a result: held back, noted or ignored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt:
    """Ctrl-C, held back while a frame is counted: a frame is in all tables of a report or in none.

    Pressed twice, it interrupts at once.
    """

    def __init__(self) -> None:
        self._pressed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """KeyboardInterrupt at the end of this context, if Ctrl-C was pressed in it."""
        with _handled_by(self._press):
            yield
        if self._pressed:
            raise KeyboardInterrupt

    def _press(self, *_: object) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True


@contextmanager
def ignored() -> Iterator[None]:
    """Ctrl-C does nothing in this context."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Only the main thread gets signals, so that in another there is nothing to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """Within the block the first Ctrl-C sets the event instead of raising KeyboardInterrupt.

    The second one raises it. Nothing changes outside the main thread and where Ctrl-C is ignored.
    """
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
