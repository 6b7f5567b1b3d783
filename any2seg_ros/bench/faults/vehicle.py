"""Plays a bag in a loop over DDS, spoils its messages, and keeps what the node says."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from any2seg_ros.bags.stamps import restamp
from any2seg_ros.demo.player import SensorLog, SensorMessage
from any2seg_ros.messages.buffers import stamp_ns
from any2seg_ros.messages.kinds import message_class
from any2seg_ros.msg import SegmentationStatus
from any2seg_ros.types import Modality

Alter = Callable[[Any], Iterable[Any]]
"""Of a message, those that are published in its place: none, one or several; bytes are as DDS
would carry them."""

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
_NODE = "/segmenter"
_QUEUE = 50


class Mask(NamedTuple):
    """A mask of the node; times in ns of the clock that its stamps have, too."""

    stamp: int
    heard: int
    used: frozenset[Modality]


@dataclass
class Heard:
    """What the node published in one phase, and what was due."""

    frames: int = 0
    """Frames of the bag that were played, whatever became of their messages."""
    masks: int = 0
    made: list[Mask] = field(default_factory=list)
    """Those masks whose status was heard."""
    used: Counter[Modality] = field(default_factory=Counter)
    """Masks that each sensor was used for."""
    sets: Counter[frozenset[Modality]] = field(default_factory=Counter)
    """Masks by the sensors that they were made of."""
    processor_s: float = 0.0
    """Processor time of the node."""
    said: Counter[str] = field(default_factory=Counter)
    """Reasons of the status and of diagnostics, as `rgb: ...`."""

    @property
    def rate(self) -> float:
        """Masks for each frame of the bag."""
        return self.masks / max(1, self.frames)

    @property
    def cost(self) -> float:
        """Processor time of the node for each mask, s."""
        return self.processor_s / max(1, self.masks)

    def use(self, modality: Modality) -> float:
        """How often a sensor was used, for each frame of the bag."""
        return self.used[modality] / max(1, self.frames)

    @property
    def usual(self) -> frozenset[Modality]:
        """The sensors of most masks; empty without a mask."""
        return self.sets.most_common(1)[0][0] if self.sets else frozenset()


class Vehicle:
    """Plays `log` in a loop on a thread of its own until `close`.

    `alter` has what happens to the messages of a sensor, `alter_info` to its camera_infos. What the
    node says is counted in `heard`, which may be replaced at any time. `check`, and with it `wait`,
    raises what ended one of the threads.
    """

    def __init__(self, node: Any, log: SensorLog) -> None:
        self.heard = Heard()
        self.alter: dict[Modality, Alter] = {}
        self.alter_info: dict[Modality, Alter] = {}
        self.stamp_shift = 0
        """Added to the stamps of all sensors, ns."""
        self.log = log
        self.node = node
        self.last: dict[str, bytes] = {}
        """By topic: the serialized message that was played last."""
        self._published = 0
        self._failure: Exception | None = None
        self._publishing = threading.Lock()
        """Held while a publisher is used or replaced."""
        self._publishers: dict[str, Any] = {}
        self._reliability = dict.fromkeys(Modality, RELIABLE)
        self._static: Any = None
        for topic in log.types:
            self._advertise(topic)
        self.publish_static()
        self._listen()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[work], daemon=True)
            for work in (self._spin, self._play)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads; the node is the caller's."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._executor.shutdown()

    def check(self) -> None:
        """RuntimeError if the vehicle plays or listens no more."""
        if self._failure is not None:
            raise RuntimeError(f"the vehicle has stopped: {self._failure!r}") from self._failure

    def topic(self, modality: Modality, info: bool = False) -> str:
        """The topic of a sensor, or of its camera_info."""
        own = [t for t in self.log.types if t.startswith(f"/{modality.label}/")]
        return next(t for t in own if t.endswith("/camera_info") == info)

    def reopen(self, modality: Modality, reliability: Any = RELIABLE) -> None:
        """Let the publishers of a sensor go and make new ones, as a driver that starts again."""
        self._reliability[modality] = reliability
        with self._publishing:
            for topic in [t for t in self.log.types if t.startswith(f"/{modality.label}/")]:
                self.node.destroy_publisher(self._publishers.pop(topic))
                self._advertise(topic)

    def publish_static(self) -> None:
        """Publish the bag's transforms, latched, from a new publisher."""
        self.withdraw_static()
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._static = self.node.create_publisher(TFMessage, "/tf_static", latched)
        for cdr in self.log.static:
            self._static.publish(cdr)

    def withdraw_static(self) -> None:
        """End the publisher of the transforms."""
        if self._static is not None:
            self.node.destroy_publisher(self._static)
            self._static = None

    @contextmanager
    def changed(self, change: Alter, *modalities: Modality, info: bool = False) -> Iterator[None]:
        """Within the block the messages of these sensors are altered."""
        table = self.alter_info if info else self.alter
        for modality in modalities:
            table[modality] = change
        try:
            yield
        finally:
            for modality in modalities:
                table.pop(modality, None)

    def fresh(self) -> Heard:
        """Begin to count anew; returns what was counted so far."""
        before, self.heard = self.heard, Heard()
        return before

    def wait(self, condition: Callable[[], object], seconds: float) -> float | None:
        """s until `condition()` came true; None if it did not in time."""
        began = time.monotonic()
        while not condition():
            self.check()
            if time.monotonic() - began > seconds:
                return None
            time.sleep(0.02)
        return time.monotonic() - began

    def uses(self, modalities: frozenset[Modality]) -> bool:
        """Whether a mask since `fresh` was made of just these."""
        return self.heard.sets[modalities] > 0

    def forget_node(self) -> None:
        """The node begins anew, and so do its counters."""
        self._published = 0

    def _advertise(self, topic: str) -> None:
        modality = Modality.parse(topic.split("/")[1])
        qos = QoSProfile(depth=_QUEUE, reliability=self._reliability[modality])
        kind = message_class(self.log.types[topic])
        self._publishers[topic] = self.node.create_publisher(kind, topic, qos)

    def _listen(self) -> None:
        subscribe = self.node.create_subscription
        subscribe(Image, f"{_NODE}/mask", lambda msg: None, 5)
        subscribe(SegmentationStatus, f"{_NODE}/status", self._on_status, _QUEUE)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, _QUEUE)

    def _on_status(self, status: Any) -> None:
        heard = self.heard
        new = status.frames_published - self._published
        self._published = status.frames_published
        used = frozenset(
            Modality.parse(row.modality) for row in status.modalities if row.weight > 0
        )
        if new > 0:
            heard.masks += new
            heard.made.append(Mask(stamp_ns(status.header.stamp), time.time_ns(), used))
            heard.sets[used] += new
            heard.used.update({m: new for m in used})
        for row in status.modalities:
            if row.reason:
                heard.said[f"{row.modality}: {row.reason}"] += 1

    def _on_diagnostics(self, array: Any) -> None:
        for status in array.status:
            if status.level != b"\0":
                name = status.name.rsplit(" ", 1)[-1].rsplit("/", 1)[-1]
                self.heard.said[f"{name}: {status.message}"] += 1

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._failure = error

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.1)

    def _play(self) -> None:
        start = time.time_ns()
        while not self._stop.is_set():
            for message in self.log.messages:
                while (left := start + message.due - time.time_ns()) > 0:
                    time.sleep(min(left * 1e-9, 0.1))
                if self._stop.is_set():
                    return
                self._play_one(message, start + message.stamp + self.stamp_shift)
            # Not catching up where this process was held up: that would be a fault, too.
            start = max(start + int(self.log.seconds * 1e9), time.time_ns() - 100_000_000)

    def _play_one(self, message: SensorMessage, stamp: int) -> None:
        info = message.topic.endswith("/camera_info")
        self.heard.frames += message.modality == Modality.LIDAR
        cdr = self.last[message.topic] = restamp(message.cdr, stamp)
        change = (self.alter_info if info else self.alter).get(message.modality)
        kind = message_class(self.log.types[message.topic])
        published = [cdr] if change is None else change(deserialize_message(cdr, kind))
        with self._publishing:
            for one in published:
                self._publishers[message.topic].publish(one)
