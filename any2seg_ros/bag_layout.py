"""What a bag has: which topic is which sensor, its calibration, where the ground truth is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from any2seg_ros.bag_reader import BagReader
from any2seg_ros.messages import camera_from_info, transform_matrix
from any2seg_ros.modalities import Camera, Modality, Unusable

TF_STATIC = "/tf_static"
LABEL = "label"
PICTURES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
TYPES: dict[Modality, tuple[str, ...]] = {
    Modality.RGB: PICTURES,
    Modality.DEPTH: PICTURES,
    Modality.LIDAR: ("sensor_msgs/msg/PointCloud2",),
    Modality.EVENT: (
        "event_camera_msgs/msg/EventPacket",
        "dvs_msgs/msg/EventArray",
        "prophesee_event_msgs/msg/EventArray",
        *PICTURES,
    ),
}
WORDS: dict[Modality, tuple[str, ...]] = {
    Modality.RGB: ("rgb", "color", "colour", "camera", "image"),
    Modality.DEPTH: ("depth",),
    Modality.LIDAR: ("lidar", "points", "velodyne", "ouster", "cloud"),
    Modality.EVENT: ("event", "dvs", "prophesee"),
}
LABEL_WORDS = ("ground_truth", "label", "semantic", "annotation")
TRANSPORTS = ("/compressed", "/compressedDepth", "/image_raw", "/image_rect", "/image_color")


@dataclass(frozen=True)
class BagLayout:
    """Topics by what they are; `infos` has the CameraInfo topic of a sensor that has one."""

    sensors: Mapping[Modality, str]
    infos: Mapping[Modality, str] = field(default_factory=dict)
    label: str | None = None


@dataclass
class BagCalibration:
    """The cameras and poses that a bag tells of, by sensor; `notes` says what it does not."""

    cameras: dict[Modality, Camera] = field(default_factory=dict)
    frames: dict[Modality, str] = field(default_factory=dict)
    transforms: StaticTransforms = field(default_factory=lambda: StaticTransforms())
    notes: list[str] = field(default_factory=list)

    def reference_from(self, modality: Modality) -> np.ndarray | None:
        """float64 (4, 4): the sensor's frame to the RGB camera's; None where TF does not say."""
        mine, reference = self.frames.get(modality), self.frames.get(Modality.RGB)
        if mine is None or reference is None:
            return None
        return self.transforms.lookup(reference, mine)


def find_layout(topics: Mapping[str, str], chosen: Mapping[str, str] | None = None) -> BagLayout:
    """Guess which topic is which sensor from types and names; `chosen` overrules the guess.

    topics: message type by topic. chosen: topic by the sensor's name, or by `label`. ValueError
    where a chosen topic is not in the bag, or where the bag has no sensor at all.
    """
    chosen = dict(chosen or {})
    for role, topic in chosen.items():
        if role != LABEL:
            Modality.parse(role)
        if topic not in topics:
            raise ValueError(f"no topic {topic} in the bag; it has {', '.join(sorted(topics))}")
    label = chosen.get(LABEL) or _best(topics, PICTURES, LABEL_WORDS, ())
    taken = [topic for topic in (label, *chosen.values()) if topic]
    sensors: dict[Modality, str] = {}
    # RGB comes last, for "image" is in the names of the others too.
    for modality in (Modality.EVENT, Modality.LIDAR, Modality.DEPTH, Modality.RGB):
        found = chosen.get(modality.label) or _best(
            topics, TYPES[modality], WORDS[modality], (*taken, *sensors.values())
        )
        if found:
            sensors[modality] = found
    if not sensors:
        raise ValueError(f"no sensor among the topics of the bag: {', '.join(sorted(topics))}")
    infos = {m: info for m, topic in sensors.items() if (info := _info(topic, topics))}
    return BagLayout(dict(sorted(sensors.items())), infos, label)


def _best(
    topics: Mapping[str, str], types: tuple[str, ...], words: tuple[str, ...], taken: tuple | list
) -> str | None:
    """The topic of such a type whose name has the earliest word; the shortest among those."""
    fits = []
    for topic, kind in topics.items():
        if kind not in types or topic in taken:
            continue
        rank = next((i for i, word in enumerate(words) if word in topic.lower()), None)
        if rank is not None:
            fits.append((rank, types.index(kind), len(topic), topic))
    return min(fits)[-1] if fits else None


def _info(topic: str, topics: Mapping[str, str]) -> str | None:
    base = topic
    for suffix in TRANSPORTS:
        base = base.removesuffix(suffix)
    candidates = [f"{base}/camera_info", f"{base.rsplit('/', 1)[0]}/camera_info"]
    return next((c for c in candidates if topics.get(c) == "sensor_msgs/msg/CameraInfo"), None)


def read_calibration(bag: BagReader, layout: BagLayout) -> BagCalibration:
    """The first CameraInfo of every sensor, its frame, and all static transforms."""
    result = BagCalibration()
    for recorded in bag.messages([TF_STATIC]) if TF_STATIC in bag.topics else ():
        for one in recorded.message.transforms:
            result.transforms.add(one)
    wanted = {topic: m for m, topic in layout.infos.items()}
    for recorded in bag.messages(list(wanted)) if wanted else ():
        modality = wanted.get(recorded.topic)
        if modality is None or modality in result.cameras:
            continue
        try:
            result.cameras[modality] = camera_from_info(recorded.message)
        except Unusable as reason:
            result.notes.append(f"{recorded.topic}: {reason}")
        if len(result.cameras) == len(wanted):
            break
    streams = {topic: m for m, topic in layout.sensors.items()}
    for recorded in bag.messages(list(streams)):
        modality = streams[recorded.topic]
        result.frames.setdefault(modality, _frame(recorded.message))
        if len(result.frames) == len(streams):
            break
    return result


def _frame(message: Any) -> str:
    return str(message.header.frame_id).lstrip("/")


class StaticTransforms:
    """The rigid motions of /tf_static, joined along the tree."""

    def __init__(self) -> None:
        self._neighbours: dict[str, dict[str, np.ndarray]] = {}

    def add(self, stamped: Any) -> None:
        """Learn a geometry_msgs/TransformStamped; a later one replaces an earlier one."""
        parent = str(stamped.header.frame_id).lstrip("/")
        child = str(stamped.child_frame_id).lstrip("/")
        try:
            parent_from_child = transform_matrix(stamped.transform)
        except ValueError:
            return
        self._neighbours.setdefault(parent, {})[child] = parent_from_child
        self._neighbours.setdefault(child, {})[parent] = np.linalg.inv(parent_from_child)

    def lookup(self, target: str, source: str) -> np.ndarray | None:
        """float64 (4, 4), maps points of `source` to `target`; None if nothing joins them."""
        found = {target: np.eye(4)}
        waiting = [target]
        while waiting:
            frame = waiting.pop(0)
            if frame == source:
                return found[frame]
            for other, frame_from_other in self._neighbours.get(frame, {}).items():
                if other not in found:
                    found[other] = found[frame] @ frame_from_other
                    waiting.append(other)
        return None
