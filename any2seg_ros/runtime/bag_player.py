"""Feeds a bag to the runtime as the node would receive it, message by message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.bags import (
    BagCalibration,
    BagLayout,
    BagReader,
    StaticTransforms,
    find_layout,
    read_calibration,
)
from any2seg_ros.bags.layout import TF_STATIC
from any2seg_ros.messages.kinds import COMPRESSED, IMAGE
from any2seg_ros.runtime.calibration import CalibrationTracker
from any2seg_ros.runtime.frame_tree import FrameTree
from any2seg_ros.runtime.intake import Intake
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.runtime.transform_history import TransformHistory
from any2seg_ros.types import Calibration, Frame, Modality, unmeasured

DEFAULTS = NodeParameters()
TRANSFORMS = ("/tf", TF_STATIC)

Alter = Callable[[Modality, Any], Any]
"""Changes a sensor's message before the intake gets it; None drops it."""

MARK_EVERY = 100_000_000
"""Interval (ns of log time) at which sensor rates are measured."""
DAY = 86_400_000_000_000
HALF_SECOND = 500_000_000


@dataclass(frozen=True)
class Step:
    """A Frame of `Received`s and the log time (ns) of the message that released it.

    A step without a frame says that time goes on: several times a second while there is none.
    """

    frame: Frame | None
    log_time: int


class BagPlayer:
    """One pass through a bag; memory does not grow with its length.

    Frames are released by stamps alone, so that a bag gives the same frames every time. Log times
    are the clock that stamps are checked against. The bag's calibration is known from the first
    message on. ValueError if the bag has no sensor or no camera.
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
        self.layout: BagLayout
        self.start = 0
        """Stamp of the first sensor message, ns; fault schedules count from here."""
        self.duration = 0
        """ns from the first to the last message, 0 where it is not known."""
        self.unusable: Counter[str] = Counter()
        """Messages that never became part of a frame, by reason."""
        self.monitors = {modality: Monitor() for modality in Modality}
        """Rate and age of each sensor's messages, in the bag's time."""
        self._tick_period = round(parameters.status_period * 1e9)
        self._notes: list[str] = []
        self._out_of_order = 0
        self._log_is_clock = True
        self._transforms = StaticTransforms()
        fixed = parameters.motion_compensation
        self._history = TransformHistory(fixed) if fixed else None
        self._tree = FrameTree() if self._history is None else FrameTree(self._history.drop)
        with BagReader(path) as bag:
            found = self._look_into(bag, topics, parameters)
        self._notes += found.notes
        self.intake = self._open_intake(self._adapted(parameters, found), found)

    @property
    def synchronizer(self) -> Synchronizer:
        """What makes the frames."""
        return self.intake.synchronizer

    @property
    def calibration(self) -> Calibration:
        """The geometry as of the last message."""
        return self.intake.tracker.current

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know about the bag; complete at its end."""
        said = [*self._notes]
        resets = self.synchronizer.counters.resets
        if resets:
            said.append(f"time jumped backwards {resets} times, as when a bag loops: reset")
        if self._out_of_order:
            said.append(f"{self._out_of_order} messages arrived out of order")
        late = self.synchronizer.counters.late
        if late:
            said.append(f"{late} messages arrived after their frame was released")
        said += self.intake.tracker.notes
        said += [f"{m.label}: {why}" for m, why in self.preparation.warnings.items()]
        said += [f"{count} messages refused: {why}" for why, count in self.unusable.items()]
        return list(dict.fromkeys(said))

    def frames(self, alter: Alter = lambda modality, message: message) -> Iterator[Step]:
        """The frames of the bag in order, each when it is complete or its deadline has passed."""
        sensors = {topic: m for m, topic in self.layout.sensors.items()}
        log_time = ticked = marked = 0
        with BagReader(self.path) as bag:
            for recorded in bag.messages(self._topics_to_read(bag)):
                modality = sensors.get(recorded.topic)
                if modality is None:
                    self._on_geometry(recorded.topic, recorded.message, recorded.log_time)
                    continue
                log_time = recorded.log_time
                message = alter(modality, recorded.message)
                frames = [] if message is None else self._on_message(modality, message, log_time)
                if abs(log_time - marked) >= MARK_EVERY:
                    marked = log_time
                    for monitor in self.monitors.values():
                        monitor.tick(log_time)
                for frame in frames:
                    yield Step(frame, log_time)
                if frames or not ticked or log_time < ticked:
                    ticked = log_time
                elif log_time - ticked >= self._tick_period:
                    ticked = log_time
                    yield Step(None, log_time)
            for frame in self.intake.flush():
                yield Step(frame, log_time)
            self._notes += bag.notes

    def _topics_to_read(self, bag: BagReader) -> list[str]:
        topics = (*self.layout.sensors.values(), *self.layout.infos.values(), *TRANSFORMS)
        return [topic for topic in topics if topic in bag.topics]

    def _on_message(self, modality: Modality, message: Any, log_time: int) -> list[Frame]:
        resets = self.synchronizer.counters.resets
        before = self.monitors[modality].stamp
        frames = self.intake.on_message(modality, message, log_time)
        stamp = self.monitors[modality].stamp
        if self.synchronizer.counters.resets == resets:
            self._out_of_order += stamp < before
        return frames

    def _on_geometry(self, topic: str, message: Any, log_time: int) -> None:
        if topic in TRANSFORMS:
            for transform in message.transforms:
                if self._remember(transform, topic == TF_STATIC, log_time):
                    self._transforms.add(transform)
            return
        for modality, info in self.layout.infos.items():
            if info == topic:
                self.intake.on_camera_info(modality, message, log_time)

    def _remember(self, transform: Any, static: bool, log_time: int) -> bool:
        """Whether a transform may enter the tree of frames; it is in its history then."""
        clock = log_time if self._log_is_clock else 0
        if self._tree.refusal(transform, static, log_time, clock):
            return False
        if self._history is not None:
            self._history.add(transform, static)
        return True

    def _on_refused(self, modality: Modality, reason: str, arrival: int) -> None:
        self.unusable[f"{modality.label}: {unmeasured(reason)}"] += 1
        self.monitors[modality].refuse(reason, arrival)

    def _look_up(self, target: str, source: str) -> np.ndarray:
        pose = self._transforms.lookup(target, source)
        if pose is None:
            raise LookupError(f"no transform in {' or '.join(TRANSFORMS)}")
        return pose

    def _look_into(
        self, bag: BagReader, topics: Mapping[str, str] | None, parameters: NodeParameters
    ) -> BagCalibration:
        """Find the sensors, the first stamp and the clock; returns the bag's calibration."""
        chosen = {**parameters.topics(), **(topics or {})}
        self.layout = find_layout(bag.topics, chosen, bag.counts)
        given = {m: s.camera_info for m, s in parameters.sensors.items() if s.camera_info}
        infos = {m: topic for m, topic in given.items() if m in self.layout.sensors}
        self.layout = replace(self.layout, infos={**self.layout.infos, **infos})
        self._notes += self.layout.notes
        self._notes += [
            f"no topic of {m.label} in the bag" for m in Modality if m not in self.layout.sensors
        ]
        self._leave_out_silent(bag)
        poses = {m: pose for m in Modality if (pose := parameters.pose(m)) is not None}
        found = read_calibration(
            bag,
            self.layout,
            poses,
            parameters.reference_camera(),
            parameters.reference_frame,
            {m: sensor.rectified for m, sensor in parameters.sensors.items()},
        )
        self.duration = bag.duration
        if self._history is not None and TF_STATIC in bag.topics:
            for recorded in bag.messages([TF_STATIC]):
                for transform in recorded.message.transforms:
                    self._remember(transform, True, recorded.log_time)
        if Modality.LIDAR not in found.poses:
            self._leave_out(Modality.LIDAR)
        event = self.layout.sensors.get(Modality.EVENT, "")
        self._event_pictures = bag.topics.get(event) in (IMAGE, COMPRESSED)
        sensors = list(self.layout.sensors.values())
        times = list(islice(bag.header_stamps(sensors), 300))
        if not times:
            raise ValueError(f"{self.path} has no message of any sensor")
        self.start = times[0][1]
        self._log_is_clock = is_clock(times)
        if not self._log_is_clock:
            self._notes.append(
                "log times and stamps are unrelated: stamps are not checked against a clock"
            )
        return found

    def _adapted(self, parameters: NodeParameters, found: BagCalibration) -> NodeParameters:
        """The node's parameters, set for what the bag lacks."""
        sensors = dict(parameters.sensors)
        if self._event_pictures:
            sensors[Modality.EVENT] = replace(sensors[Modality.EVENT], type="image")
        for modality in (Modality.DEPTH, Modality.EVENT):
            if sensors[modality].registered or modality not in self.layout.sensors:
                continue
            if modality not in found.cameras:
                sensors[modality] = replace(sensors[modality], registered=True)
                self._notes.append(
                    f"no camera_info of {modality.label}: assumed registered to the camera"
                )
        return replace(parameters, sensors=sensors, reference_file="")

    def _open_intake(self, parameters: NodeParameters, found: BagCalibration) -> Intake:
        cameras = {m: c for m, c in found.cameras.items() if not parameters.sensors[m].registered}
        known = Calibration(found.reference, found.reference_frame, cameras, found.poses)
        window = self.preparation.preprocessing.event_window_ms * 1e-3
        return Intake(
            self.preparation,
            Synchronizer(parameters.synchronizer_config(window, True)),
            CalibrationTracker(parameters, self._look_up, known, self.layout.sensors),
            self.monitors,
            lambda log_time: log_time if self._log_is_clock else None,
            self._on_refused,
            self._on_reset,
            self._history,
        )

    def _on_reset(self) -> None:
        self._tree.forget()
        if self._history is not None:
            self._history.forget()

    def _leave_out_silent(self, bag: BagReader) -> None:
        for modality, topic in self.layout.sensors.items():
            # Not by the counts of the index, which a bag that was cut off does not have.
            if next(bag.messages([topic]), None) is None:
                self._notes.append(f"no readable message of {modality.label} on {topic}")
                self._leave_out(modality)

    def _leave_out(self, modality: Modality) -> None:
        sensors = {m: topic for m, topic in self.layout.sensors.items() if m != modality}
        self.layout = replace(self.layout, sensors=sensors)


def is_clock(times: list[tuple[int, int]]) -> bool:
    """Whether log times run with stamps: (log time, stamp) in ns of a bag's first messages.

    In bags that were converted or recorded anew they need not. Judged by the middle half, so that
    a few stamps that are wrong do not count.
    """
    logged, stamps = np.asarray(times, np.int64).T
    behind = np.percentile(logged - stamps, (25, 50, 75))
    span = np.subtract(*np.percentile(stamps, (75, 25)))
    return bool(abs(behind[1]) < DAY and behind[2] - behind[0] <= max(HALF_SECOND, span / 2))


def frame_of_bag(path: Path) -> str:
    """The frame_id of a bag's reference camera, for viewers; empty where it is not known."""
    try:
        with BagReader(path) as bag:
            layout = find_layout(bag.topics, None, bag.counts)
            return read_calibration(bag, layout).reference_frame
    except (OSError, ValueError):
        return ""
