"""Signals that would leave half a result, or a process that nobody needs any more."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def end_with_parent(parent: int) -> None:
    """End by SIGTERM when the thread that started this process ends; Linux only.

    parent: the number of that thread's process. SystemExit where it has ended already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")


@contextmanager
def interrupted_by_any_signal() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise KeyboardInterrupt as well, each of them once.

    Nothing changes outside the main thread, which alone gets signals, nor for a signal that
    something else handles or that is ignored (nohup).
    """

    def interrupt(number: int, _: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)  # again: the cleaning up is under way
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if main and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


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
