"""Plays a bag's sensor topics over DDS in real time, with the stamps moved to now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import Reader

from any2seg_ros.bags.stamps import header_stamp, restamp
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.messages.kinds import TRANSFORMS, message_class
from any2seg_ros.types import Modality

STATIC_TOPIC = "/tf_static"


@dataclass(frozen=True)
class Played:
    """One message of the bag: when it is due and was stamped, in ns after the bag's start."""

    modality: Modality
    topic: str
    due: int
    stamp: int
    cdr: bytes


class Tape:
    """A bag's sensor messages in order of time, in memory; topics are named `<modality>/...`.

    `start` is the smallest header stamp in ns; `types` the message type of each topic.
    """

    def __init__(self, path: Path) -> None:
        self.types: dict[str, str] = {}
        self.static: list[bytes] = []
        rows = list(self._rows(path))
        if not rows:
            raise ValueError(
                f"{path} has no topic named rgb/..., depth/..., lidar/... or event/..."
            )
        self.start = min(header_stamp(cdr) for *_, cdr in rows)
        self.messages = [
            Played(modality, topic, due, header_stamp(cdr) - self.start, cdr)
            for modality, topic, due, cdr in sorted(rows, key=lambda row: row[2])
        ]

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return self.messages[-1].due * 1e-9

    def _rows(self, path: Path) -> Iterator[tuple[Modality, str, int, bytes]]:
        modalities = {modality.label: modality for modality in Modality}
        with Reader(path) as reader:
            for connection, timestamp, data in reader.messages():
                if connection.topic == STATIC_TOPIC:
                    self.static.append(bytes(data))
                elif (modality := modalities.get(connection.topic.split("/")[1])) is not None:
                    self.types[connection.topic] = connection.msgtype
                    yield modality, connection.topic, timestamp - reader.start_time, bytes(data)


class Player:
    """Publishes a Tape phase by phase.

    `starts` has each phase's wall time in ns; `first_published` the wall time at which each
    (phase index, modality) was first heard.
    """

    def __init__(self, node: Any, tape: Tape) -> None:
        self.tape = tape
        self.starts: list[int] = []
        self.first_published: dict[tuple[int, Modality], int] = {}
        sensor = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._publishers = {
            topic: node.create_publisher(message_class(kind), topic, sensor)
            for topic, kind in tape.types.items()
        }
        latched = QoSProfile(
            depth=len(tape.static) or 1,
            history=HistoryPolicy.KEEP_LAST,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        if tape.static:
            kind = message_class(TRANSFORMS)
            static = node.create_publisher(kind, STATIC_TOPIC, latched)
            for cdr in tape.static:
                static.publish(cdr)

    def play(self, phases: Sequence[Phase], tick: Callable[[int, float], None]) -> None:
        """Play every phase in turn; `tick(phase index, seconds into it)` is called now and then."""
        start = time.time_ns()
        for index, phase in enumerate(phases):
            self.starts.append(start)
            self._play_phase(index, phase, start, tick)
            start += int(phase.seconds * 1e9)

    def _play_phase(
        self, index: int, phase: Phase, start: int, tick: Callable[[int, float], None]
    ) -> None:
        length = int(phase.seconds * 1e9)
        for message in self.tape.messages:
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
