"""Stops a single thread of another process, as a call that never comes back would (ptrace(2))."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ATTACH, _DETACH, _WALL = 16, 17, 0x40000000
_TRIES = 30


@contextmanager
def stopped(thread: int) -> Iterator[None]:
    """Within the block a thread of a process that one may trace stands still.

    thread: its number in /proc/PID/task. PermissionError where the kernel forbids it. Begin and
    end it on one thread.
    """
    _ptrace(_ATTACH, thread)
    os.waitpid(thread, _WALL)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            _ptrace(_DETACH, thread)


@contextmanager
def inference_stopped(process: int, lives: Callable[[], bool]) -> Iterator[None]:
    """Within the block the thread that segments stands still, and the others go on.

    lives: whether the node still says something, asked while the thread stands still. A thread
    that holds Python's lock then would stop them all: it is let go and caught again.
    """
    thread = busiest(process)
    for _ in range(_TRIES):
        with stopped(thread):
            if lives():
                yield
                return
        time.sleep(0.013)
    raise TimeoutError("the inference thread was never caught without Python's lock")


def busiest(process: int, seconds: float = 2.0) -> int:
    """The thread of the interpreter, other than the main one, that used most processor time."""
    names = {path.name: path for path in Path(f"/proc/{process}/task").iterdir()}
    main = (names[str(process)] / "comm").read_text()
    before = {name: _ticks(path) for name, path in names.items()}
    time.sleep(seconds)
    own = [
        (_ticks(path) - before[name], name)
        for name, path in names.items()
        if name != str(process) and path.exists() and (path / "comm").read_text() == main
    ]
    return int(max(own)[1])


def _ticks(task: Path) -> int:
    fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _ptrace(request: int, thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace of thread {thread}: {os.strerror(number)}")
