"""Stops a single thread of another process, as a call that never comes back would (ptrace(2))."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from any2seg_ros.node.worker import THREAD

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
    # A process ends when its tracer has seen the end of the thread that it holds.
    released = threading.Event()
    reaper = threading.Thread(target=_reap, args=[thread, released], daemon=True)
    reaper.start()
    try:
        yield
    finally:
        released.set()
        reaper.join()
        with suppress(ProcessLookupError):  # it has ended meanwhile
            _ptrace(_DETACH, thread)


@contextmanager
def inference_stopped(process: int, is_caught: Callable[[], bool]) -> Iterator[None]:
    """Within the block the thread that segments stands still, and the others go on.

    is_caught: whether the node says that inference is busy, asked while the thread stands still.
    One that holds Python's lock would stop all the others, and one may be waiting for a frame: then
    it is let go and caught again.
    """
    thread = inference_thread(process)
    for _ in range(_TRIES):
        with stopped(thread):
            if is_caught():
                yield
                return
        time.sleep(0.313)
    raise TimeoutError("the inference thread was never caught in a frame and without Python's lock")


def inference_thread(process: int) -> int:
    """The thread of a node that segments, by its name; ProcessLookupError without one."""
    for task in Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().strip() == THREAD:
            return int(task.name)
    raise ProcessLookupError(f"process {process} has no thread called {THREAD}")


def _reap(thread: int, released: threading.Event) -> None:
    with suppress(ChildProcessError):
        while not released.wait(0.05):
            if os.waitpid(thread, _WALL | os.WNOHANG)[0]:
                return


def _ptrace(request: int, thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace of thread {thread}: {os.strerror(number)}")
