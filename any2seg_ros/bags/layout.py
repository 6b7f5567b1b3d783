"""What a bag has: which topic is which sensor, its calibration, where the ground truth is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from any2seg_ros.bags.choice import PICTURES, TYPES, Choice, info_of, others, told
from any2seg_ros.bags.reader import BagReader
from any2seg_ros.messages import (
    camera_from_info,
    is_rectified,
    rectifying_rotation,
    transform_matrix,
)
from any2seg_ros.messages.cameras import rectified_note
from any2seg_ros.messages.kinds import CAMERA_INFO
from any2seg_ros.types import Camera, InvalidMeasurement, Modality

TF_STATIC = "/tf_static"
TF = "/tf"
LABEL = "label"
_FOLLOWED = 2000
"""Messages of /tf that are looked at, once all sensors are placed, for whether they move."""


@dataclass(frozen=True)
class BagLayout:
    """Topics by what they are; `infos` has the CameraInfo topic of a sensor that has one."""

    sensors: Mapping[Modality, str]
    infos: Mapping[Modality, str] = field(default_factory=dict)
    label: str | None = None
    notes: tuple[str, ...] = ()
    """What was chosen of several topics, and what is not read."""


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


def find_layout(
    topics: Mapping[str, str],
    chosen: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
) -> BagLayout:
    """Guess which topic is which sensor from types, names and messages; `chosen` overrules it.

    topics: message type by topic. chosen: topic by the sensor's name, or by `label`. counts:
    messages by topic, where they are known. ValueError
    where a chosen topic is not in the bag, or where the bag has no sensor at all.
    """
    chosen = dict(chosen or {})
    _check_chosen(topics, chosen)
    choice = Choice(topics, counts)
    label = chosen.get(LABEL) or choice.label(tuple(chosen.values()))
    taken = [topic for topic in (label, *chosen.values()) if topic]
    sensors: dict[Modality, str] = {}
    notes: list[str | None] = []
    # RGB comes last, for "image" is in the names of the others too.
    for modality in (Modality.EVENT, Modality.LIDAR, Modality.DEPTH, Modality.RGB):
        found = chosen.get(modality.label)
        if not found:
            fits = choice.candidates(modality, (*taken, *sensors.values()))
            found = next((c.topic for c in fits if not c.why_not), None)
            notes.insert(0, told(modality, found, fits))
        if found:
            sensors[modality] = found
    said = (*filter(None, notes), *others(topics))
    if not sensors:
        why = f" ({'; '.join(said)})" if said else ""
        names = ", ".join(sorted(topics))
        raise ValueError(f"no sensor among the topics of the bag: {names}{why}")
    cameras: dict[Modality, str] = {m: t for m, t in sensors.items() if m != Modality.LIDAR}
    infos = {m: info for m, topic in cameras.items() if (info := info_of(topic, topics, counts))}
    return BagLayout(dict(sorted(sensors.items())), infos, label, said)


def _check_chosen(topics: Mapping[str, str], chosen: Mapping[str, str]) -> None:
    for role, topic in chosen.items():
        if role != LABEL:
            Modality.parse(role)
        if topic not in topics:
            raise ValueError(f"no topic {topic} in the bag; it has {', '.join(sorted(topics))}")
        known = PICTURES if role == LABEL else TYPES[Modality.parse(role)]
        if topics[topic] not in known:
            raise ValueError(f"{topic} is {topics[topic]}: {role} must be {' or '.join(known)}")


def read_calibration(
    bag: BagReader,
    layout: BagLayout,
    poses: Mapping[Modality, np.ndarray] | None = None,
    reference: Camera | None = None,
    reference_frame: str = "",
    rectified: Mapping[Modality, str] | None = None,
) -> BagCalibration:
    """Cameras from the first CameraInfo of each sensor, poses from the transforms.

    `poses` float64 (4, 4), the reference camera and its frame count more than the bag's where they
    are given. rectified: `auto`, `yes` or `no` by sensor, see `is_rectified`. ValueError where no
    camera is known, for then there is no view to segment.
    """
    result = BagCalibration(
        poses=dict(poses or {}), reference=reference, reference_frame=reference_frame
    )
    infos = _first_messages(bag, set(layout.infos.values()) | set(_spare_infos(bag, layout)))
    # From a camera's frame to that of its rectified image, by sensor.
    turns: dict[Modality, np.ndarray] = {}
    for modality, topic in layout.infos.items():
        if topic not in infos:
            continue
        setting = (rectified or {}).get(modality, "auto")
        flat = is_rectified(layout.sensors[modality], infos[topic], setting)
        camera = _camera(topic, infos, result, flat)
        if camera:
            result.cameras[modality] = camera
        if camera and flat:
            turns[modality] = rectifying_rotation(infos[topic])
            result.notes.append(rectified_note(layout.sensors[modality], modality.label, setting))
    _choose_reference(bag, layout, infos, result)
    frames = {
        next(m for m, t in layout.sensors.items() if t == topic): _frame(message)
        for topic, message in _first_messages(bag, set(layout.sensors.values())).items()
    }
    if not result.reference_frame and frames.get(Modality.RGB):
        result.reference_frame = frames[Modality.RGB]
        result.notes.append("the camera_info has no frame_id: that of the images counts")
    wanted = {m: frame for m, frame in frames.items() if m not in result.poses}
    wanted = dict(sorted(wanted.items()))
    transforms = _transforms(bag, wanted, result)
    turned = turns.get(Modality.RGB, np.eye(4))
    for modality, frame in wanted.items():
        _place(modality, frame, transforms, result)
        if modality in result.poses:
            own = turns.get(modality, np.eye(4))
            result.poses[modality] = turned @ result.poses[modality] @ own.T
    return result


def _transforms(
    bag: BagReader, wanted: Mapping[Modality, str], result: BagCalibration
) -> StaticTransforms:
    """The transforms of /tf_static; of /tf too, where they leave a sensor without a place."""
    transforms = StaticTransforms()
    for recorded in bag.messages([TF_STATIC]) if TF_STATIC in bag.topics else ():
        for one in recorded.message.transforms:
            transforms.add(one)

    def place(known: StaticTransforms, modality: Modality) -> np.ndarray | None:
        return known.lookup(result.reference_frame, wanted[modality])

    open_ = [m for m in wanted if place(transforms, m) is None]
    if not open_ or TF not in bag.topics:
        return transforms
    latest = transforms.copy()
    placed = False
    for count, recorded in enumerate(bag.messages([TF])):
        for one in recorded.message.transforms:
            transforms.add(one, anew=False)
            latest.add(one)
        placed = placed or all(place(transforms, m) is not None for m in open_)
        if count >= (_FOLLOWED if placed else 10 * _FOLLOWED):
            break
    for modality in open_:
        first, last = place(transforms, modality), place(latest, modality)
        if first is not None and last is not None:
            result.notes.append(_from_tf(modality, first, last))
    return transforms


def _from_tf(modality: Modality, first: np.ndarray, last: np.ndarray) -> str:
    """What is said of a sensor whose place is known from /tf alone."""
    moved = float(np.linalg.norm(last[:3, 3] - first[:3, 3]))
    turned = float(
        np.degrees(np.arccos(np.clip((np.trace(first[:3, :3].T @ last[:3, :3]) - 1) / 2, -1, 1)))
    )
    if moved < 0.01 and turned < 0.5:
        return f"{modality.label}: its place is on {TF}, not on {TF_STATIC}, and taken to be fixed"
    return (
        f"{modality.label}: its place is on {TF} and moves, by {moved:.2f} m and {turned:.1f} "
        "degrees: its first place is used"
    )


def _spare_infos(bag: BagReader, layout: BagLayout) -> list[str]:
    """CameraInfo topics of a camera whose images are not in the bag, RGB's before others."""
    taken = set(layout.infos.values())
    spare = [t for t, k in bag.topics.items() if k == CAMERA_INFO and t not in taken]
    return sorted(spare, key=lambda t: (not any(w in t.lower() for w in ("rgb", "color")), t))


def _first_messages(bag: BagReader, topics: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    topics = {topic for topic in topics if bag.counts.get(topic)}
    for recorded in bag.messages(topics) if topics else ():
        found.setdefault(recorded.topic, recorded.message)
        if len(found) == len(topics):
            break
    return found


def _camera(
    topic: str, infos: Mapping[str, Any], result: BagCalibration, rectified: bool = False
) -> Camera | None:
    if topic not in infos:
        return None
    try:
        return camera_from_info(infos[topic], rectified)
    except InvalidMeasurement as reason:
        result.notes.append(f"{topic}: {reason}")
        return None


def _choose_reference(
    bag: BagReader, layout: BagLayout, infos: Mapping[str, Any], result: BagCalibration
) -> None:
    of_info = {topic: m for m, topic in reversed(list(layout.infos.items()))}
    rgb = [layout.infos[Modality.RGB]] if Modality.RGB in layout.infos else []
    others = [topic for m, topic in layout.infos.items() if m != Modality.RGB]
    for topic in (*rgb, *_spare_infos(bag, layout), *others):
        if topic in of_info:
            camera = result.cameras.get(of_info[topic])
        else:
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
            f"no transform from {frame} to {result.reference_frame} in {TF_STATIC} or {TF}: the "
            "LiDAR cannot be placed and is left out: record it, or set lidar.extrinsics"
        )
    elif modality != Modality.RGB:
        result.poses[modality] = np.eye(4)
        result.notes.append(
            f"no transform from {frame} to {result.reference_frame} in {TF_STATIC} or {TF}: "
            f"{modality.label} is taken to be where the reference camera is"
        )


def _frame(message: Any) -> str:
    return str(message.header.frame_id).lstrip("/")


class StaticTransforms:
    """Rigid motions between frames, joined along the tree."""

    def __init__(self) -> None:
        self._neighbours: dict[str, dict[str, np.ndarray]] = {}

    def copy(self) -> StaticTransforms:
        """The same transforms, to be added to apart."""
        made = StaticTransforms()
        made._neighbours = {frame: dict(others) for frame, others in self._neighbours.items()}
        return made

    def add(self, stamped: Any, anew: bool = True) -> None:
        """Learn a geometry_msgs/TransformStamped; unless `anew`, the first of its frames stays."""
        parent = str(stamped.header.frame_id).lstrip("/")
        child = str(stamped.child_frame_id).lstrip("/")
        if not anew and child in self._neighbours.get(parent, {}):
            return
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
