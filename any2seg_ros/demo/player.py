"""Plays a bag's sensor topics over DDS in real time, restamped to wall time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from any2seg_ros.bags import BagReader
from any2seg_ros.bags.stamps import STAMP_OFFSET, header_stamp, restamp
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.messages.kinds import TRANSFORMS, message_class
from any2seg_ros.types import Modality

STATIC_TOPIC = "/tf_static"


@dataclass(frozen=True)
class SensorMessage:
    """A serialized message; `due` (log time) and `stamp` in ns since the start of the bag."""

    modality: Modality
    topic: str
    due: int
    stamp: int
    cdr: bytes


class SensorLog:
    """The sensor messages of a bag in memory, by log time; topics are named `<modality>/...`.

    `start`: smallest header stamp, ns; `types`: message type of each topic; `static`: serialized
    messages of /tf_static; `notes`: what was left out of a damaged bag. topics: which sensor's each
    topic is; without it, their names tell. ValueError where there is no message of a sensor.
    """

    def __init__(self, path: Path, topics: Mapping[str, Modality] | None = None) -> None:
        self.types: dict[str, str] = {}
        self.static: list[bytes] = []
        self.notes: list[str] = []
        self._topics = topics
        rows = list(self._rows(path))
        if not rows:
            raise ValueError(
                f"{path} has no topic named /rgb/..., /depth/..., /lidar/... or /event/..."
            )
        self.start = min(header_stamp(cdr) for *_, cdr in rows)
        self.messages = [
            SensorMessage(modality, topic, due, header_stamp(cdr) - self.start, cdr)
            for modality, topic, due, cdr in sorted(rows, key=lambda row: row[2])
        ]

    @property
    def seconds(self) -> float:
        """Time from the first to the last message."""
        return self.messages[-1].due * 1e-9

    def _rows(self, path: Path) -> Iterator[tuple[Modality, str, int, bytes]]:
        modalities = {modality.label: modality for modality in Modality}
        with BagReader(path) as reader:
            topics = self._topics
            if topics is None:
                names = {topic: topic.strip("/").split("/")[0] for topic in reader.topics}
                topics = {t: modalities[name] for t, name in names.items() if name in modalities}
            for topic, kind, log_time, data in reader.serialized({STATIC_TOPIC, *topics}):
                if topic == STATIC_TOPIC:
                    self.static.append(data)
                elif len(data) >= STAMP_OFFSET + 8:
                    self.types[topic] = kind
                    yield topics[topic], topic, log_time - reader.start, data
            self.notes = reader.notes


class Player:
    """Publishes a SensorLog once per phase.

    `starts`: wall time of each phase, ns; `first_published`: wall time (ns) of the first message of
    each (phase index, modality).
    """

    def __init__(self, node: Any, log: SensorLog) -> None:
        self.log = log
        self.starts: list[int] = []
        self.first_published: dict[tuple[int, Modality], int] = {}
        sensor = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._publishers = {
            topic: node.create_publisher(message_class(kind), topic, sensor)
            for topic, kind in log.types.items()
        }
        latched = QoSProfile(
            depth=len(log.static) or 1,
            history=HistoryPolicy.KEEP_LAST,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        if log.static:
            kind = message_class(TRANSFORMS)
            static = node.create_publisher(kind, STATIC_TOPIC, latched)
            for cdr in log.static:
                static.publish(cdr)

    def play(self, phases: Sequence[Phase], tick: Callable[[int, float], None]) -> None:
        """Play all phases; `tick(phase index, seconds into it)` is called at least every 0.1 s."""
        start = time.time_ns()
        for index, phase in enumerate(phases):
            self.starts.append(start)
            self._play_phase(index, phase, start, tick)
            start += int(phase.seconds * 1e9)

    def _play_phase(
        self, index: int, phase: Phase, start: int, tick: Callable[[int, float], None]
    ) -> None:
        length = int(phase.seconds * 1e9)
        for message in self.log.messages:
            if message.modality not in phase.subset:
                continue
            if message.stamp >= length or message.due >= length:
                continue
            self._sleep_until(start + message.due, index, start, tick)
            self.first_published.setdefault((index, message.modality), time.time_ns())
            cdr = restamp(message.cdr, start + message.stamp)
            self._publishers[message.topic].publish(cdr)
        self._sleep_until(start + length, index, start, tick)

    @staticmethod
    def _sleep_until(due: int, index: int, start: int, tick: Callable[[int, float], None]) -> None:
        while (left := (due - time.time_ns()) / 1e9) > 0:
            time.sleep(min(left, 0.1))
            tick(index, (time.time_ns() - start) / 1e9)
