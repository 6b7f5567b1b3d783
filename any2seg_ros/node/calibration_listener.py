"""Transforms between sensor frames, from /tf and /tf_static."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tf2_ros
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from any2seg_ros.messages import transform_matrix
from any2seg_ros.node import delivery
from any2seg_ros.node.floods import FloodGuard, FloodLimits
from any2seg_ros.runtime.frame_tree import MAX_FRAMES, FrameTree
from any2seg_ros.runtime.monitor import Repeats
from any2seg_ros.runtime.transform_history import TransformHistory

LIMITS = FloodLimits(messages=1000, burst=500, megabytes=1.5, largest=0.75)
"""Of one topic: a vehicle's publishers together send some hundreds a second."""
_LONGEST_S = 60
_QUIET = 10_000_000_000
"""ns without a flood, after which the next one is the first again."""
_TOPICS = {
    "/tf": QoSProfile(depth=100),
    "/tf_static": QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL),
}
_TRANSFORM_BYTES = 64
"""Of a serialized transform, at least: its numbers alone have as many."""
_ANY = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)


class CalibrationListener:
    """The newest transform between two frames, for `CalibrationTracker`; see its `Lookup`.

    It listens between `start` and `stop`. A flooded topic is left alone for 1, 2, 4, ... 60 s: what
    is not subscribed to costs nothing, and poses that are known stay. `notes` are for the log, to
    be taken away. history: gets what is believed, too. on_undecodable: told the topic of messages
    that are none.
    """

    def __init__(
        self,
        node: Any,
        history: TransformHistory | None = None,
        on_undecodable: Callable[[str], None] = lambda topic: None,
    ) -> None:
        # Without the node: given one, it makes a service there that nothing takes away again.
        self._buffer = tf2_ros.Buffer()
        self._node = node
        self._history = history
        self._on_undecodable = on_undecodable
        self._tree = FrameTree() if history is None else FrameTree(history.drop)
        self._epoch = 0
        self._repeats = Repeats()
        self._subscriptions: dict[str, Any] = {}
        self._others: dict[str, Any] = {}
        """By topic: a second subscription, for publishers whose QoS is not TF's."""
        self._guards: dict[str, FloodGuard] = {}
        self._pauses: dict[str, tuple[int, int]] = {}
        """By topic: s for which it was left alone last, and when that began (ns)."""
        self._timers: dict[str, Any] = {}
        self.notes: list[str] = []

    def start(self) -> None:
        """Listen to TF."""
        for topic in _TOPICS:
            self._subscribe(topic)

    def lookup(self, target: str, source: str) -> np.ndarray:
        """float64 (4, 4) that maps points of `source` to `target`; LookupError says what lacks."""
        try:
            found = self._buffer.lookup_transform(target, source, Time())
            return transform_matrix(found.transform)
        except (tf2_ros.TransformException, ValueError) as error:
            raise LookupError(str(error)) from None

    def forget(self) -> None:
        """Drop the transforms of a time that is over; static ones stay."""
        self._tree.forget()
        self._begin_anew()
        if self._history is not None:
            self._history.forget()

    def stop(self) -> None:
        """Listen to TF no more."""
        for timer in self._timers.values():
            self._node.destroy_timer(timer)
        for subscription in (*self._subscriptions.values(), *self._others.values()):
            self._node.destroy_subscription(subscription)
        self._timers, self._subscriptions, self._others = {}, {}, {}

    def adapt(self) -> None:
        """Hear publishers, too, whose QoS is not TF's: static ones that do not latch, and so on."""
        for topic in self._subscriptions:
            deaf = bool(delivery.misfit(self._node, topic, _TOPICS[topic]))
            if deaf and topic not in self._others:
                self._others[topic] = self._listen(topic, _ANY)
            elif not deaf and topic in self._others:
                self._node.destroy_subscription(self._others.pop(topic))

    def _subscribe(self, topic: str) -> None:
        self._guards[topic] = FloodGuard(LIMITS)  # what is latched comes at once: none is dropped
        # Raw, so that what is too much is not even made a message.
        self._subscriptions[topic] = self._listen(topic, _TOPICS[topic])

    def _listen(self, topic: str, profile: QoSProfile) -> Any:
        return self._node.create_subscription(
            TFMessage, topic, lambda data: self._on_message(topic, data), profile, raw=True
        )

    def _on_message(self, topic: str, data: bytes) -> None:
        now = time.monotonic_ns()
        if topic not in self._subscriptions or self._is_flood(topic, len(data), now):
            return
        if _announced(data) > MAX_FRAMES:
            self._note(f"more than {MAX_FRAMES} frames in TF, by one message: ignored", now)
            return
        try:
            transforms = deserialize_message(data, TFMessage).transforms
        except Exception:  # of the middleware's own types; what is raised here ends the node
            self._on_undecodable(topic)
            return
        static, clock = topic == "/tf_static", self._node.get_clock().now().nanoseconds
        for transform in transforms:
            reason = self._tree.refusal(transform, static, now, clock)
            if reason:
                self._note(reason, now)
                continue
            if self._tree.epoch != self._epoch:
                self._begin_anew()
            else:
                self._put(transform, static)
            if self._history is not None:
                self._history.add(transform, static)

    def _put(self, transform: Any, static: bool) -> None:
        put = self._buffer.set_transform_static if static else self._buffer.set_transform
        put(transform, "default_authority")

    def _begin_anew(self) -> None:
        """A buffer with what is known now: tf2's keeps names for good, and whether they moved."""
        self._epoch = self._tree.epoch
        self._buffer = tf2_ros.Buffer()
        for transform, static in self._tree.told():
            self._put(transform, static)

    def _note(self, reason: str, now: int) -> None:
        if self._repeats.due(reason, now):
            self.notes.append(reason)

    def _is_flood(self, topic: str, size: int, now: int) -> bool:
        """Count a message; a topic that has too many is left alone."""
        reason = self._guards[topic].refusal(size, now)
        if not reason:
            return False
        last, began = self._pauses.get(topic, (0, now))
        quiet = now - began > last * 1_000_000_000 + _QUIET
        pause = 1 if quiet or not last else min(2 * last, _LONGEST_S)
        self._pauses[topic] = pause, now
        self.notes.append(f"{topic} is {reason}, for {pause} s; poses stay as they are")
        for subscription in (self._subscriptions.pop(topic), self._others.pop(topic, None)):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers[topic] = self._node.create_timer(
            float(pause), lambda: self._again(topic), clock=steady
        )
        return True

    def _again(self, topic: str) -> None:
        self._node.destroy_timer(self._timers.pop(topic))
        self._subscribe(topic)


def _announced(data: bytes) -> int:
    """How many transforms a serialized TFMessage has: after CDR's head it says how many; 0 where it
    is too short for these, and no message at all."""
    count = int.from_bytes(data[4:8], "little" if data[1:2] == b"\1" else "big")
    return count if count * _TRANSFORM_BYTES <= len(data) else 0
