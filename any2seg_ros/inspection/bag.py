"""One look at a bag: which topic is which sensor, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from any2seg_ros import messages
from any2seg_ros.bags import BagCalibration, BagLayout, BagReader, find_layout, read_calibration
from any2seg_ros.inspection.topics import TopicStats, topic_stats
from any2seg_ros.messages.video import VideoDecoder
from any2seg_ros.preprocessing.intensity import IntensityScale
from any2seg_ros.types import InvalidMeasurement, Modality

_DECODED = 12
"""Messages of a sensor that are decoded: after so many, an intensity is known to be dead."""
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


def inspect_bag(path: Path, topics: Mapping[str, str] | None = None) -> BagInspection:
    """Walk a bag twice; `topics` overrules the choice. ValueError where it has no sensor."""
    with BagReader(path) as bag:
        layout = find_layout(bag.topics, topics, bag.counts)
        found = BagInspection(path, bag.duration * 1e-9, topic_stats(bag), layout, None)
        try:
            found.calibration = read_calibration(bag, layout)
            found.notes += found.calibration.notes
        except ValueError as error:
            text = str(error)
            found.problems.append((text.partition(":")[0], text.partition("; ")[2] or text))
        for modality in layout.sensors:
            _decode(bag, modality, found)
        found.notes = [*bag.notes, *layout.notes, *found.notes]
    _check_sensors(found)
    _check_times(found)
    return found


def _decode(bag: BagReader, modality: Modality, found: BagInspection) -> None:
    """Decode some messages of a sensor, as the node would."""
    scale, events, video = IntensityScale(), messages.EventDecoder(), VideoDecoder()
    reasons: list[str] = []
    some = list(islice(bag.messages([found.layout.sensors[modality]]), _DECODED))
    for recorded in some:
        try:
            _decode_one(modality, recorded.message, scale, events, video)
        except InvalidMeasurement as reason:
            reasons.append(str(reason))
    if reasons:
        count = f"{len(reasons)} of the first {len(some)} messages of {modality.label}"
        found.problems.append((f"{count} cannot be used", reasons[0]))
    if scale.warning:
        found.problems.append((f"lidar: {scale.warning}", "see docs/sensors.md, Intensity"))


def _decode_one(
    modality: Modality,
    msg: Any,
    scale: IntensityScale,
    events: messages.EventDecoder,
    video: VideoDecoder,
) -> None:
    if modality == Modality.LIDAR:
        messages.decode_cloud(msg, scale)
    elif messages.is_video(msg):
        video.decode(msg)
    elif modality == Modality.DEPTH:
        messages.decode_depth(msg)
    elif hasattr(msg, "data"):
        messages.decode_image(msg)
    else:
        events.decode(msg)


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
