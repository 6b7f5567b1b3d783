"""One look at a bag: which topic is which sensor, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros import messages
from any2seg_ros.bags import (
    BagCalibration,
    BagLayout,
    BagReader,
    Graph,
    find_layout,
    read_calibration,
)
from any2seg_ros.bags.offers import differing
from any2seg_ros.inspection.motion import time_offsets
from any2seg_ros.inspection.offsets import TimeOffset
from any2seg_ros.inspection.topics import TopicStats, topic_stats
from any2seg_ros.messages.video import VideoDecoder, picture
from any2seg_ros.preprocessing import Health, Preprocessor
from any2seg_ros.preprocessing.intensity import IntensityScale
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.types import Events, InvalidMeasurement, Measurement, Modality

_DECODED = 12
"""Messages of a sensor that are decoded: after so many, an intensity is known to be dead."""
_SIZE = (320, 192)
"""Width and height of the images into which they are projected."""
_FUTURE = 0.2
_GAPS = 3.0


@dataclass
class BagInspection:
    """What was found; `problems` are (what is wrong, what to do)."""

    path: Path
    duration: float
    """s."""
    topics: dict[str, TopicStats]
    layout: BagLayout
    calibration: BagCalibration | None
    title: str = ""
    """What was looked at."""
    offsets: dict[Modality, TimeOffset] = field(default_factory=dict)
    """By how much stamps are late against those of the first sensor, as far as motion tells."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def role(self, topic: str) -> str:
        """What a topic was taken for; empty if for nothing."""
        roles = {t: m.label for m, t in self.layout.sensors.items()}
        infos = {t: f"{m.label}'s camera_info" for m, t in self.layout.infos.items()}
        labels = {self.layout.label: "ground truth"} if self.layout.label else {}
        return {**infos, **labels, **roles}.get(topic, "")

    def sensor(self, modality: Modality) -> TopicStats | None:
        """The statistics of a sensor's topic, if it has one."""
        topic = self.layout.sensors.get(modality)
        return None if topic is None else self.topics[topic]


def inspect_bag(
    path: Path, topics: Mapping[str, str] | None = None, graph: Graph | None = None
) -> BagInspection:
    """Walk a bag some times; `topics` overrules the choice. ValueError where it has no sensor.

    graph: what the running graph said from which the bag was recorded just now.
    """
    with BagReader(path) as bag:
        stats = _with_graph(topic_stats(bag), graph)
        kinds = {topic: one.type for topic, one in stats.items()}
        layout = find_layout(kinds, topics, {topic: one.count for topic, one in stats.items()})
        found = BagInspection(path, bag.duration * 1e-9, stats, layout, None)
        found.title = str(path) if graph is None else "live topics"
        try:
            found.calibration = read_calibration(bag, layout)
            found.notes += found.calibration.notes
        except ValueError as error:
            text = str(error)
            found.problems.append((text.partition(":")[0], text.partition("; ")[2] or text))
        for modality in layout.sensors:
            _decode(bag, modality, found)
        intervals = {m: stats[topic].interval for m, topic in layout.sensors.items()}
        found.offsets = time_offsets(bag, layout.sensors, found.calibration, intervals)
        found.notes = [*bag.notes, *layout.notes, *found.notes]
        if bag.message_count < bag.recorded:
            found.problems.append(
                (
                    f"{bag.recorded - bag.message_count} of {bag.recorded} messages are lost",
                    "copy the bag again from where it was recorded; what is left is used",
                )
            )
    _check_sensors(found)
    _check_times(found)
    _check_offsets(found)
    _check_qos(found)
    if graph is not None:
        found.problems += graph.problems
        found.notes += graph.notes
    return found


def _with_graph(stats: dict[str, TopicStats], graph: Graph | None) -> dict[str, TopicStats]:
    """The statistics, with topics that nothing came from, and what publishers offer now."""
    if graph is None:
        return stats
    for topic, kind in graph.types.items():
        stats.setdefault(topic, TopicStats(topic, kind))
    for topic, offers in graph.offers.items():
        if topic in stats:
            stats[topic].offers = offers
    return dict(sorted(stats.items()))


def _decode(bag: BagReader, modality: Modality, found: BagInspection) -> None:
    """Decode some messages of a sensor and judge what they show, as the node would."""
    scale, events, video = IntensityScale(), messages.EventDecoder(), VideoDecoder()
    judge = _Judge(modality, found.calibration)
    reasons: list[str] = []
    some = list(islice(bag.messages([found.layout.sensors[modality]]), _DECODED))
    for recorded in some:
        msg = recorded.message
        try:
            data = _decoded(modality, msg, scale, events, video)
            judge.check(messages.stamp_ns(msg.header.stamp), data)
        except InvalidMeasurement as reason:
            reasons.append(str(reason))
    if reasons:
        count = f"{len(reasons)} of the first {len(some)} messages of {modality.label}"
        found.problems.append((f"{count} cannot be used", reasons[0]))
    if scale.warning:
        found.problems.append((f"lidar: {scale.warning}", "see docs/sensors.md, Intensity"))


def _decoded(
    modality: Modality,
    msg: Any,
    scale: IntensityScale,
    events: messages.EventDecoder,
    video: VideoDecoder,
) -> np.ndarray | Events:
    if modality == Modality.LIDAR:
        return messages.decode_cloud(msg, scale)
    if messages.is_video(msg):
        return picture(video.decode(msg))
    if modality == Modality.DEPTH:
        return messages.decode_depth(msg)
    if hasattr(msg, "data"):
        return messages.decode_image(msg)
    return events.decode(msg)


class _Judge:
    """The checks of a sensor's measurements that need no clock; events are what they are."""

    def __init__(self, modality: Modality, calibration: BagCalibration | None) -> None:
        self._modality = modality
        self._health = Health(modality)
        self._camera, self._pose, self._preprocessor = None, None, None
        if calibration is not None and calibration.reference is not None:
            self._camera = calibration.cameras.get(modality)
            self._pose = calibration.poses.get(modality)
            self._preprocessor = Preprocessor(calibration.reference, _SIZE)

    def check(self, stamp: int, data: np.ndarray | Events) -> None:
        """InvalidMeasurement, with the reason, for what the node would refuse."""
        if isinstance(data, Events):
            return
        pose = np.eye(4) if self._pose is None else self._pose
        measurement = Measurement(self._modality, stamp, data, self._camera, pose)
        self._health.check(measurement)
        if self._preprocessor is not None and self._pose is not None:
            self._preprocessor.preprocess_one(measurement)


def _check_sensors(found: BagInspection) -> None:
    sensors, infos = found.layout.sensors, found.layout.infos
    if Modality.RGB in sensors and Modality.RGB not in infos:
        found.problems.append(
            (
                f"{sensors[Modality.RGB]} has no camera_info",
                "record it, or set reference_width, reference_height and reference_k",
            )
        )
    known = found.calibration.poses if found.calibration else {}
    if found.calibration and Modality.LIDAR in sensors and Modality.LIDAR not in known:
        found.problems.append(
            (
                "the LiDAR has no transform to the camera and is left out",
                "record /tf_static, or set lidar.extrinsics to 'x y z qx qy qz qw'",
            )
        )


def _check_offsets(found: BagInspection) -> None:
    """Stamps that are late by more than the synchronizer's window are a problem, others a note."""
    for modality, offset in found.offsets.items():
        if not offset.is_significant:
            continue
        name, against = modality.label, offset.against.label
        late = f"{abs(offset.late) * 1e3:.0f} ms {'late' if offset.late > 0 else 'early'}"
        said = f"the stamps of {name} are {late} against those of {against}, by their motion"
        mend = (
            f"set {name}.offset to {-offset.late:.3f} (--write-params does), or have its driver "
            "stamp the time of the measurement"
        )
        if abs(offset.late) > NodeParameters().sensors[modality].window:
            found.problems.append((said, mend))
        else:
            found.notes.append(f"{said}: {mend}")


def _check_qos(found: BagInspection) -> None:
    infos = set(found.layout.infos.values())
    for topic in (*found.layout.sensors.values(), *sorted(infos)):
        problem = differing(topic, found.topics[topic].offers, topic in infos)
        if problem:
            found.problems.append(problem)


def _check_times(found: BagInspection) -> None:
    for modality in found.layout.sensors:
        stats = found.sensor(modality)
        if stats is None or not stats.count:
            continue
        delay = stats.delay
        if delay is None:
            found.problems.append(
                (
                    f"the stamps of {modality.label} are of another clock than the recorder's",
                    "synchronise its clock (PTP, NTP), or have its driver stamp by the host's",
                )
            )
        elif delay < -_FUTURE:
            found.problems.append(
                (
                    f"the stamps of {modality.label} are {-delay:.2f} s in the future",
                    f"synchronise its clock, or set {modality.label}.offset to {delay:.2f}",
                )
            )
        if stats.interval and stats.gap > _GAPS * stats.interval and stats.gap > 0.5:
            found.problems.append(
                (
                    f"{modality.label} is silent for up to {stats.gap:.1f} s",
                    "look for lost messages: reliable QoS, a larger cache of the recorder",
                )
            )
