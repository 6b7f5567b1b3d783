"""The node's synchronizer as a filter of `message_filters`, for nodes of your own as well.

filters = {Modality.RGB: message_filters.Subscriber(node, Image, "rgb/image"), ...}
synchronizer = SynchronizerFilter(filters, node=node)
synchronizer.registerCallback(lambda frame: ...)    # frame.measurements: messages by modality

Whatever is a filter fits before it (Subscriber, Cache, a chain of your own) and behind it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from message_filters import SimpleFilter

from any2seg_ros.messages import stamp_ns
from any2seg_ros.runtime.synchronizer import Synchronizer, SynchronizerConfig
from any2seg_ros.types import Frame, Modality


class Matcher(Protocol):
    """What makes Frames of messages: runtime's `Intake`, or a bare `Synchronizer` in its place."""

    synchronizer: Synchronizer

    def on_message(self, modality: Modality, msg: Any, arrival: int) -> list[Frame]:
        """The Frames that leave with this message; arrival: ns of the steady clock."""

    def poll(self, now: int) -> list[Frame]:
        """The Frames whose deadline has come; now: ns of the steady clock."""


class MessageMatcher:
    """A bare synchronizer: Frames of the messages as they are."""

    def __init__(self, config: SynchronizerConfig) -> None:
        self.synchronizer = Synchronizer(config)
        self.poll = self.synchronizer.poll

    def on_message(self, modality: Modality, msg: Any, arrival: int) -> list[Frame]:
        """See `Matcher`."""
        return self.synchronizer.add(modality, stamp_ns(msg.header.stamp), msg, arrival)


_FIRED = -1
_STALLED = 5_000_000
"""ns by which a deadline is seen late when the thread was busy."""


def _log_failure(error: Exception) -> None:
    logging.getLogger(__name__).error("a callback failed: %s: %s", type(error).__name__, error)


class SynchronizerFilter(SimpleFilter):
    """Takes messages of one filter a modality and signals Frames of messages.

    Callbacks run outside the lock, so that they may do what they like, and an exception in one is
    passed to `failed` and keeps no other from running. With a `node`, a timer on the steady clock
    fires at each deadline; otherwise call `poll` at `next_deadline`. Filters may call from any
    thread; of Frames that leave at once in two threads, callbacks may see the later one first.
    """

    def __init__(
        self,
        filters: Mapping[Modality, SimpleFilter],
        config: SynchronizerConfig | None = None,
        node: Any = None,
        failed: Callable[[Exception], None] = _log_failure,
        matcher: Matcher | None = None,
    ) -> None:
        super().__init__()
        self._matcher: Matcher = matcher or MessageMatcher(config or SynchronizerConfig())
        self._lock = threading.RLock()
        self._failed = failed
        self._node = node
        self._timer: Any = None
        self._armed: int | None = None
        """The deadline that the timer waits for."""
        self.input_connections: dict[Modality, tuple[SimpleFilter, int]] = {}
        self.connectInput(filters)

    @property
    def synchronizer(self) -> Synchronizer:
        """Its counters and settings; change these within `run`."""
        return self._matcher.synchronizer

    @property
    def next_deadline(self) -> int | None:
        """ns of the steady clock at which `poll` has something to do; None if nothing waits."""
        return self._matcher.synchronizer.next_deadline

    def connectInput(self, filters: Mapping[Modality, SimpleFilter]) -> None:
        """Take the messages of these filters too; their messages have a header."""
        for modality, one in filters.items():
            self.input_connections[modality] = one, one.registerCallback(self._add, modality)

    def poll(self) -> None:
        """Let the Frames go whose deadline has come."""
        self.run(lambda: self._matcher.poll(time.monotonic_ns()))

    def run(self, change: Callable[[], list[Frame] | None]) -> None:
        """Call `change` while no message is taken; Frames that it returns are signalled."""
        with self._lock:
            frames = change() or []
            self._arm()
        for frame in frames:
            self.signalMessage(frame)

    def signalMessage(self, *msg: Any) -> None:
        """Call every callback with a Frame."""
        for callback, arguments in list(self.callbacks.values()):
            try:
                callback(*msg, *arguments)
            except Exception as error:
                self._failed(error)

    def stop(self) -> None:
        """Take the timer away."""
        with self._lock:
            if self._timer is not None:
                self._node.destroy_timer(self._timer)
            self._timer = self._node = None

    def _add(self, msg: Any, modality: Modality) -> None:
        self.run(lambda: self._matcher.on_message(modality, msg, time.monotonic_ns()))

    def _arm(self) -> None:
        """Have the timer fire at the next deadline, and not before."""
        deadline = self.next_deadline
        if self._node is None or deadline == self._armed:
            return
        self._armed = deadline
        if deadline is None:
            if self._timer is not None:
                self._timer.cancel()
            return
        wait = max(1, deadline - time.monotonic_ns())
        if self._timer is None:
            from rclpy.clock import Clock, ClockType

            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self._node.create_timer(wait * 1e-9, self._fire, clock=steady)
        else:
            self._timer.timer_period_ns = wait
            self._timer.reset()

    def _fire(self) -> None:
        due, self._armed = self._armed, _FIRED  # and fires again and again until it is armed anew
        late = time.monotonic_ns() - due if due is not None and due > 0 else 0
        if late > _STALLED and self._timer is not None:
            # The thread was busy with something else. Timers come before messages then, and what a
            # frame waits for may lie in the middleware: one round of the executor takes it first.
            self._timer.timer_period_ns = 1
            self._timer.reset()
            return
        self.poll()
