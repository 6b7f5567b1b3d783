"""The synchronizer as a filter of `message_filters`, for nodes of one's own.

filters = {Modality.RGB: message_filters.Subscriber(node, Image, "rgb/image"), ...}
synchronizer = SynchronizerFilter(filters, node=node)
synchronizer.registerCallback(lambda frame: ...)    # frame.measurements: messages by modality
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from message_filters import SimpleFilter

from any2seg_ros.messages import stamp_ns
from any2seg_ros.runtime.synchronizer import Synchronizer, SynchronizerConfig
from any2seg_ros.types import Frame, Modality

_POLL_S = 0.01


def _log_failure(error: Exception) -> None:
    logging.getLogger(__name__).error("a callback failed: %s: %s", type(error).__name__, error)


class SynchronizerFilter(SimpleFilter):
    """Takes messages of one filter a modality and hands out Frames of messages.

    Callbacks run outside the lock, so that they may do what they like, and an exception in one is
    told to `failed` and keeps nothing else from running. With a `node`, its deadlines are kept by
    a timer on the steady clock; otherwise call `poll` now and then. Filters may call from any
    thread; of Frames that leave at once in two threads, callbacks may see the later one first.
    """

    def __init__(
        self,
        filters: Mapping[Modality, SimpleFilter],
        config: SynchronizerConfig | None = None,
        node: Any = None,
        failed: Callable[[Exception], None] = _log_failure,
    ) -> None:
        super().__init__()
        config = config or SynchronizerConfig()
        self.synchronizer = Synchronizer(config)
        self._lock = threading.Lock()
        self._failed = failed
        self.connectInput(filters)
        if node is not None and config.live:
            from rclpy.clock import Clock, ClockType

            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(_POLL_S, self.poll, clock=steady)

    def connectInput(self, filters: Mapping[Modality, SimpleFilter]) -> None:
        """Listen to these filters; their messages have a header."""
        self.input_connections = [
            one.registerCallback(self._add, modality) for modality, one in filters.items()
        ]

    def poll(self) -> None:
        """Let the Frames go whose time is up."""
        with self._lock:
            frames = self.synchronizer.poll(time.monotonic_ns())
        self._hand_out(frames)

    def _add(self, msg: Any, modality: Modality) -> None:
        with self._lock:
            now = time.monotonic_ns()
            frames = self.synchronizer.add(modality, stamp_ns(msg.header.stamp), msg, now)
        self._hand_out(frames)

    def _hand_out(self, frames: list[Frame]) -> None:
        for frame in frames:
            for callback, arguments in list(self.callbacks.values()):
                try:
                    callback(frame, *arguments)
                except Exception as error:
                    self._failed(error)
