"""Ctrl-C at times when it would leave half a result: it waits, or is ignored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """Within the block the first Ctrl-C sets the event instead of raising KeyboardInterrupt.

    The second one raises it. Nothing changes outside the main thread, which alone gets signals,
    nor where something else handles Ctrl-C or it is ignored.
    """
    pressed = threading.Event()

    def defer(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if not _raises():
        yield pressed
        return
    signal.signal(signal.SIGINT, defer)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C within the block raises KeyboardInterrupt at its end; pressed twice, at once."""
    with deferred_interrupt() as pressed:
        yield
    if pressed.is_set():
        raise KeyboardInterrupt


@contextmanager
def ignored_interrupts() -> Iterator[None]:
    """Ctrl-C does nothing in this block."""
    if not _raises():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _raises() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt in this thread, as it usually does."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
