"""Walks through a bag as the node would hear it: admit, synchronize, frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from any2seg_ros.bags import (
    BagCalibration,
    BagLayout,
    BagReader,
    find_layout,
    read_calibration,
)
from any2seg_ros.messages.kinds import COMPRESSED, IMAGE
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.types import Frame, InvalidMeasurement, Modality, unmeasured

DEFAULTS = NodeParameters()

Alter = Callable[[Modality, Any], Any]
"""Makes of a sensor's message what is heard of it; None where it is lost."""

MARK_EVERY = 100_000_000
"""How often (ns of log time) the rates of the sensors are measured."""


@dataclass(frozen=True)
class Heard:
    """A Frame of `Received`s, and the log time (ns) of the message that completed it.

    Without a frame it says that time went on: several times a second while no frame comes.
    """

    frame: Frame | None
    log_time: int


class BagPlayer:
    """One pass through a bag; memory does not grow with its length.

    `preparation` gets the bag's cameras and poses. Stamps alone decide about frames, so that the
    same bag gives the same frames every time. ValueError where the bag has no sensor or no camera.
    """

    def __init__(
        self,
        path: Path,
        preparation: Preparation,
        topics: Mapping[str, str] | None = None,
        parameters: NodeParameters = DEFAULTS,
    ) -> None:
        self.path = path
        self.preparation = preparation
        self._tick_period = round(parameters.status_period * 1e9)
        self.layout: BagLayout
        self.calibration: BagCalibration
        self.start = 0
        """What schedules count from: the stamp of the first sensor message, ns."""
        self.duration = 0
        """ns from the first to the last message, 0 where it is not known."""
        self.unusable: Counter[str] = Counter()
        """Messages that never became part of a frame, by reason."""
        self._notes: list[str] = []
        self._overtaken = 0
        self.monitors = {modality: Monitor() for modality in Modality}
        """What is heard of the sensors, in the bag's time."""
        self._last: dict[Modality, int] = {}
        self._prepare(topics, parameters)
        window = preparation.placing.event_window_ms * 1e-3
        if self._event_pictures:
            event = replace(parameters.sensors[Modality.EVENT], type="image")
            sensors = {**parameters.sensors, Modality.EVENT: event}
            parameters = replace(parameters, sensors=sensors)
        self.synchronizer = Synchronizer(parameters.synchronizer_config(window, True))

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know about the bag; complete at its end."""
        said = [*self._notes]
        resets = self.synchronizer.counters.resets
        if resets:
            said.append(f"time jumped backwards {resets} times, as when a bag loops; began anew")
        if self._overtaken:
            said.append(f"{self._overtaken} messages came behind newer ones of their sensor")
        late = self.synchronizer.counters.late
        if late:
            said.append(f"{late} messages came after the frame that they belonged to had left")
        said += [f"{m.label}: {why}" for m, why in self.preparation.warnings.items()]
        said += [f"{count} messages unusable: {why}" for why, count in self.unusable.items()]
        return list(dict.fromkeys(said))

    def frames(self, alter: Alter = lambda modality, message: message) -> Iterator[Heard]:
        """The frames of the bag in order, each as soon as it is whole or its time is up."""
        modalities = {topic: m for m, topic in self.layout.sensors.items()}
        log_time = ticked = marked = 0
        with BagReader(self.path) as bag:
            for recorded in bag.messages(list(modalities)):
                log_time = recorded.log_time
                modality = modalities[recorded.topic]
                message = alter(modality, recorded.message)
                frames = [] if message is None else self._hear(modality, message, log_time)
                if abs(log_time - marked) >= MARK_EVERY:
                    marked = log_time
                    for monitor in self.monitors.values():
                        monitor.tick(log_time)
                for frame in frames:
                    yield Heard(frame, log_time)
                if frames or not ticked or log_time < ticked:
                    ticked = log_time
                elif log_time - ticked >= self._tick_period:
                    ticked = log_time
                    yield Heard(None, log_time)
            for frame in self.synchronizer.flush():
                yield Heard(frame, log_time)
            self._notes += bag.notes

    def _hear(self, modality: Modality, message: Any, log_time: int) -> list[Frame]:
        self.monitors[modality].hear(log_time)
        try:
            received = self.preparation.admit(modality, message, log_time)
        except InvalidMeasurement as reason:
            self.unusable[f"{modality.label}: {unmeasured(str(reason))}"] += 1
            self.synchronizer.refuse(modality, str(reason))
            self.monitors[modality].refuse(str(reason), log_time)
            return []
        self.monitors[modality].stamp = received.stamp
        self._overtaken += received.stamp < self._last.get(modality, 0)
        self._last[modality] = received.stamp
        resets = self.synchronizer.counters.resets
        frames = self.synchronizer.add(modality, received.stamp, received, log_time)
        if self.synchronizer.counters.resets > resets:
            self._overtaken -= 1
            self.preparation.reset()
        return frames

    def _prepare(self, topics: Mapping[str, str] | None, parameters: NodeParameters) -> None:
        with BagReader(self.path) as bag:
            self.layout = find_layout(bag.topics, topics, bag.counts)
            self._notes += self.layout.notes
            self._notes += [
                f"no topic of {m.label} in the bag"
                for m in Modality
                if m not in self.layout.sensors
            ]
            self._leave_out_silent(bag)
            poses = {m: pose for m in Modality if (pose := parameters.pose(m)) is not None}
            self.calibration = read_calibration(
                bag,
                self.layout,
                poses,
                parameters.reference_camera(),
                parameters.reference_frame,
                {m: sensor.rectified for m, sensor in parameters.sensors.items()},
            )
            for modality in Modality:
                if parameters.sensors[modality].registered:
                    self.calibration.cameras.pop(modality, None)
            self.duration = bag.duration
            if Modality.LIDAR not in self.calibration.poses:
                self._leave_out(Modality.LIDAR)
            event = self.layout.sensors.get(Modality.EVENT, "")
            self._event_pictures = bag.topics.get(event) in (IMAGE, COMPRESSED)
            sensors = self.layout.sensors
            first = next(bag.messages(list(sensors.values())), None)
            if first is None:
                raise ValueError(f"{self.path} has no message of any sensor")
            stamp = first.message.header.stamp
            self.start = int(stamp.sec) * 10**9 + int(stamp.nanosec)
        self._notes += self.calibration.notes
        for modality in (Modality.DEPTH, Modality.EVENT):
            if modality in sensors and modality not in self.calibration.cameras:
                self._notes.append(
                    f"no camera_info of {modality.label}: taken to be registered to the camera"
                )
        self.preparation.reference = self.calibration.reference
        self.preparation.cameras.update(self.calibration.cameras)
        self.preparation.poses.update(self.calibration.poses)

    def _leave_out_silent(self, bag: BagReader) -> None:
        for modality, topic in self.layout.sensors.items():
            # Not by the counts of the index, which a bag that was cut off does not have.
            if next(bag.messages([topic]), None) is None:
                self._notes.append(f"no readable message of {modality.label} on {topic}")
                self._leave_out(modality)

    def _leave_out(self, modality: Modality) -> None:
        sensors = {m: topic for m, topic in self.layout.sensors.items() if m != modality}
        self.layout = replace(self.layout, sensors=sensors)
