"""
Stand-in for the Python half of ROS 2's `message_filters`.

Holds what works alike on every distribution: `SimpleFilter`, `Subscriber(node, Type, topic,
qos_profile=...)`, `Cache(filter, cache_size=...)`, `TimeSynchronizer`,
`ApproximateTimeSynchronizer(filters, queue_size=..., slop=...)`; and `Chain`, which only the newest
have. Written from the documented interface.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.time import Time

__all__ = [
    "ApproximateTimeSynchronizer",
    "Cache",
    "Chain",
    "SimpleFilter",
    "Subscriber",
    "TimeSynchronizer",
]


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


class Cache(SimpleFilter):
    """Passes on every message of a filter and keeps the last `cache_size`; stamps are rclpy Times.

    A message without a header is dropped, or with `allow_headerless` stamped with the time now.
    """

    def __init__(
        self, f: SimpleFilter, cache_size: int = 1, allow_headerless: bool = False
    ) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.allow_headerless = allow_headerless
        self._kept: list[tuple[Time, Any]] = []
        self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        """Listen to this filter."""
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """Keep one message and pass it on; the one that came first makes room for it."""
        if hasattr(getattr(msg, "header", None), "stamp"):
            stamp = msg.header.stamp
        elif self.allow_headerless:
            stamp = ROSClock().now()
        else:
            return
        self._kept.append((stamp if isinstance(stamp, Time) else Time.from_msg(stamp), msg))
        del self._kept[: -self.cache_size]
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Time, to_stamp: Time) -> list[Any]:
        """The messages from one stamp to another, both included."""
        assert from_stamp <= to_stamp
        return [msg for at, msg in self._kept if from_stamp <= at <= to_stamp]

    def getElemAfterTime(self, stamp: Time) -> Any:
        """The first message at this stamp or later; None without one."""
        return next((msg for at, msg in self._kept if at >= stamp), None)

    def getElemBeforeTime(self, stamp: Time) -> Any:
        """The last message at this stamp or earlier; None without one."""
        return next((msg for at, msg in reversed(self._kept) if at <= stamp), None)

    def getOldestTime(self) -> Time | None:
        """The stamp of the message that came first; None without one."""
        return self._kept[0][0] if self._kept else None

    def getLatestTime(self) -> Time | None:
        """The stamp of the message that came last; None without one."""
        return self._kept[-1][0] if self._kept else None

    getLastestTime = getLatestTime  # its name on some distributions


class Chain(SimpleFilter):
    """Filters one behind the other: what the last one signals, the chain signals."""

    def __init__(self, message_filter: SimpleFilter | None = None) -> None:
        super().__init__()
        self.incoming_connection: int | None = None
        self._filters: list[Any] = []
        if message_filter is not None:
            self.connectInput(message_filter)

    def connectInput(self, message_filter: SimpleFilter) -> None:
        """Listen to this filter; a chain has one input."""
        if self.incoming_connection is not None:
            raise RuntimeError("Already connected")
        self.incoming_connection = message_filter.registerCallback(self.add)

    def add(self, message: Any) -> None:
        """Take one message: through the filters, or on at once where there is none."""
        if self._filters:
            self._filters[0].add(message)
        else:
            self.signalMessage(message)

    def addFilter(self, message_filter: Any) -> None:
        """Put a filter, which takes messages by `add`, behind the last one."""
        place = len(self._filters)
        self._filters.append(message_filter)
        message_filter.registerCallback(lambda *msg: self._pass_on(place, *msg))

    def getFilter(self, index: int) -> Any:
        """The filter at this place; KeyError where none is."""
        if not 0 <= index < len(self._filters):
            raise KeyError(index)
        return self._filters[index]

    def _pass_on(self, place: int, *msg: Any) -> None:
        if place + 1 < len(self._filters):
            self._filters[place + 1].add(*msg)
        else:
            self.signalMessage(*msg)


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
