"""What a bag has: which topic is which sensor, its calibration, where the ground truth is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from any2seg_ros.bags.reader import BagReader
from any2seg_ros.messages import camera_from_info, transform_matrix
from any2seg_ros.messages.kinds import CAMERA_INFO
from any2seg_ros.types import Camera, InvalidMeasurement, Modality

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
    """The cameras and poses that a bag tells of, by sensor; `notes` says what it does not.

    reference: the camera whose view the masks have: that of RGB, or of the best other sensor.
    """

    cameras: dict[Modality, Camera] = field(default_factory=dict)
    poses: dict[Modality, np.ndarray] = field(default_factory=dict)
    """float64 (4, 4), by sensor: its frame to the reference camera's. Absent where unknown."""
    reference: Camera | None = None
    reference_frame: str = ""
    notes: list[str] = field(default_factory=list)


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
        known = PICTURES if role == LABEL else TYPES[Modality.parse(role)]
        if topics[topic] not in known:
            raise ValueError(f"{topic} is {topics[topic]}: {role} must be {' or '.join(known)}")
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
    return next((c for c in candidates if topics.get(c) == CAMERA_INFO), None)


def read_calibration(
    bag: BagReader,
    layout: BagLayout,
    poses: Mapping[Modality, np.ndarray] | None = None,
    reference: Camera | None = None,
    reference_frame: str = "",
) -> BagCalibration:
    """Cameras from the first CameraInfo of each sensor, poses from the static transforms.

    `poses` float64 (4, 4), the reference camera and its frame count more than the bag's where they
    are given. ValueError where no camera is known, for then there is no view to segment.
    """
    result = BagCalibration(
        poses=dict(poses or {}), reference=reference, reference_frame=reference_frame
    )
    infos = _first_messages(bag, set(layout.infos.values()) | set(_spare_infos(bag, layout)))
    for modality, topic in layout.infos.items():
        camera = _camera(topic, infos, result)
        if camera:
            result.cameras[modality] = camera
    _choose_reference(bag, layout, infos, result)
    transforms = StaticTransforms()
    for recorded in bag.messages([TF_STATIC]) if TF_STATIC in bag.topics else ():
        for one in recorded.message.transforms:
            transforms.add(one)
    for topic, message in _first_messages(bag, set(layout.sensors.values())).items():
        modality = next(m for m, t in layout.sensors.items() if t == topic)
        if modality not in result.poses:
            _place(modality, _frame(message), transforms, result)
    return result


def _spare_infos(bag: BagReader, layout: BagLayout) -> list[str]:
    """CameraInfo topics of a camera whose images are not in the bag, RGB's before others."""
    taken = set(layout.infos.values())
    spare = [t for t, k in bag.topics.items() if k == CAMERA_INFO and t not in taken]
    return sorted(spare, key=lambda t: (not any(w in t.lower() for w in ("rgb", "color")), t))


def _first_messages(bag: BagReader, topics: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for recorded in bag.messages(topics) if topics else ():
        found.setdefault(recorded.topic, recorded.message)
        if len(found) == len(topics):
            break
    return found


def _camera(topic: str, infos: Mapping[str, Any], result: BagCalibration) -> Camera | None:
    if topic not in infos:
        return None
    try:
        return camera_from_info(infos[topic])
    except InvalidMeasurement as reason:
        result.notes.append(f"{topic}: {reason}")
        return None


def _choose_reference(
    bag: BagReader, layout: BagLayout, infos: Mapping[str, Any], result: BagCalibration
) -> None:
    rgb = [layout.infos[Modality.RGB]] if Modality.RGB in layout.infos else []
    others = [topic for m, topic in layout.infos.items() if m != Modality.RGB]
    for topic in (*rgb, *_spare_infos(bag, layout), *others):
        camera = _camera(topic, infos, BagCalibration())
        if camera:
            if topic not in rgb and result.reference is None:
                result.notes.append(f"no camera_info of the RGB camera: the view is {topic}'s")
            result.reference = result.reference or camera
            result.reference_frame = result.reference_frame or _frame(infos[topic])
            return
    if result.reference is None:
        raise ValueError(
            f"no usable camera_info in {bag.path}: the view to segment is unknown; record the "
            "camera_info of the RGB camera too, or set reference_width, reference_height and "
            "reference_k"
        )


def _place(
    modality: Modality, frame: str, transforms: StaticTransforms, result: BagCalibration
) -> None:
    pose = transforms.lookup(result.reference_frame, frame)
    if pose is not None:
        result.poses[modality] = pose
    elif modality == Modality.LIDAR:
        result.notes.append(
            f"no transform from {frame} to {result.reference_frame} in {TF_STATIC}: the LiDAR "
            "cannot be placed and is left out"
        )
    elif modality != Modality.RGB:
        result.poses[modality] = np.eye(4)
        result.notes.append(
            f"no transform from {frame} to {result.reference_frame} in {TF_STATIC}: "
            f"{modality.label} is taken to be where the reference camera is"
        )


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
