"""
Stand-in for the Python half of ROS 2's `message_filters`.

Holds what works alike on every distribution: `SimpleFilter`, `Subscriber(node, Type, topic,
qos_profile=...)`, `TimeSynchronizer` and `ApproximateTimeSynchronizer(filters, queue_size=...,
slop=...)`. Written from the documented interface.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["ApproximateTimeSynchronizer", "SimpleFilter", "Subscriber", "TimeSynchronizer"]


class SimpleFilter:
    """A source of messages: passes each one to all registered callbacks."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., Any], *args: Any) -> int:
        """Call `cb(*messages, *args)` for every output; returns the connection's number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Pass `msg` to all callbacks, in the order of registration."""
        for callback, args in list(self.callbacks.values()):
            callback(*msg, *args)


class Subscriber(SimpleFilter):
    """A subscription as a filter; its arguments are those of `Node.create_subscription`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.node, message_type, self.topic = args[:3]
        kwargs.setdefault("qos_profile", 10)
        self.sub = self.node.create_subscription(
            message_type, self.topic, self.callback, *args[3:], **kwargs
        )

    def callback(self, msg: Any) -> None:
        """Pass on one message."""
        self.signalMessage(msg)

    def getTopic(self) -> str:
        """The topic as it was given."""
        return self.topic


class TimeSynchronizer(SimpleFilter):
    """Signal one message of each filter when their header stamps are equal."""

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.Lock()
        self.connectInput(fs)

    def connectInput(self, fs: Iterable[SimpleFilter]) -> None:
        """Connect to these filters, in this order."""
        filters = list(fs)
        self.queues: list[dict[int, Any]] = [{} for _ in filters]
        self.input_connections = [
            one.registerCallback(self.add, queue, index)
            for index, (one, queue) in enumerate(zip(filters, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        """Take a message of one filter; signal the set that it completes."""
        with self.lock:
            self._keep(my_queue, _stamp_ns(msg), msg)
            for stamp in sorted(set.intersection(*(set(queue) for queue in self.queues))):
                self.signalMessage(*(queue.pop(stamp) for queue in self.queues))

    def _keep(self, queue: dict[int, Any], stamp: int, msg: Any) -> None:
        queue[stamp] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Signal one message of each filter when all their stamps lie within `slop` seconds."""

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
    ) -> None:
        if allow_headerless:
            raise ValueError("this stand-in needs messages with headers")
        self.slop_ns = round(slop * 1e9)
        super().__init__(fs, queue_size)

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        """Take a message of one filter; signal the closest match that it completes."""
        stamp = _stamp_ns(msg)
        with self.lock:
            self._keep(my_queue, stamp, msg)
            match = self._match(stamp, my_queue)
            if match:
                pairs = zip(self.queues, match, strict=True)
                self.signalMessage(*[queue.pop(at) for queue, at in pairs])

    def _match(self, stamp: int, my_queue: dict[int, Any]) -> tuple[int, ...] | None:
        if stamp not in my_queue:
            return None
        near = [
            [stamp] if queue is my_queue else self._within_slop(queue, stamp)
            for queue in self.queues
        ]
        for stamps in itertools.product(*near):
            if max(stamps) - min(stamps) < self.slop_ns:
                return stamps
        return None

    def _within_slop(self, queue: dict[int, Any], stamp: int) -> list[int]:
        near = [other for other in queue if abs(other - stamp) <= self.slop_ns]
        return sorted(near, key=lambda other: abs(other - stamp))


def _stamp_ns(msg: Any) -> int:
    stamp = msg.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec
