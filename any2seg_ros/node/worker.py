"""The inference thread: one Frame at a time, a hand-off of depth one, the newest wins."""

from __future__ import annotations

import threading
from collections.abc import Callable

from any2seg_ros.types import Frame


class Worker:
    """Runs `process` on a thread of its own for the newest Frame that was submitted.

    An exception in `process` is told to `failed` and harms nothing else. `busy` counts Frames
    that were replaced by a newer one before their turn, `forgotten` those that `forget` dropped.
    After a `nudge`, `idle` is called when no Frame waits; it may look at `waiting` and be short.
    """

    def __init__(
        self,
        process: Callable[[Frame], None],
        failed: Callable[[Exception], None],
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.busy = 0
        self.forgotten = 0
        self._process = process
        self._failed = failed
        self._idle = idle
        self._nudged = False
        self._next: Frame | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Frames that wait for their turn: 0 or 1."""
        return int(self._next is not None)

    def submit(self, frame: Frame) -> None:
        """Have a Frame processed next."""
        with self._changed:
            self.busy += self._next is not None
            self._next = frame
            self._changed.notify()

    def nudge(self) -> None:
        """Have `idle` called as soon as there is nothing else to do."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def forget(self) -> None:
        """Drop the Frame that waits, if one does."""
        with self._changed:
            self.forgotten += self._next is not None
            self._next = None

    def stop(self, patience: float = 10.0) -> bool:
        """End the thread after the Frame that it is at; whether it ended in `patience` seconds."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._next is None and not self._nudged and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                frame, self._next = self._next, None
                self._nudged = self._nudged and frame is not None
            try:
                if frame is None:
                    self._idle()
                else:
                    self._process(frame)
            except Exception as error:
                self._failed(error)
