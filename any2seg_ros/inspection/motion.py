"""Time offsets between a bag's sensors, from the motion of what they measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from any2seg_ros import messages
from any2seg_ros.bags import BagCalibration, BagReader
from any2seg_ros.inspection.brightness import EventCounter, event_offset, shrunk
from any2seg_ros.inspection.offsets import TimeOffset, Turns, too_slow, turn_offset
from any2seg_ros.inspection.turning import CloudTurns, ImageTurns, depth_points
from any2seg_ros.messages.video import VideoDecoder, picture
from any2seg_ros.types import Camera, InvalidMeasurement, Modality

_APART = 45_000_000
"""ns between measurements that are looked at, at least."""
_LOOKED_AT = 300
_IMAGES = 100
"""Images to which events are compared: their counts take 80 MB."""
_LONGEST = 20_000_000_000
_BEHIND = 1_000_000_000
_REFERENCES = (Modality.RGB, Modality.LIDAR, Modality.DEPTH)


def time_offsets(
    bag: BagReader,
    sensors: Mapping[Modality, str],
    calibration: BagCalibration | None,
    intervals: Mapping[Modality, float],
) -> dict[Modality, TimeOffset]:
    """The offset of every sensor but the first against the first. intervals: s, by sensor."""
    against = next((m for m in _REFERENCES if m in sensors), None)
    others = [m for m in sensors if m != against]
    if against is None or not others:
        return {}
    if calibration is None:
        why = "no camera is known"
        return {m: TimeOffset(m, against, unknown=why) for m in others}
    found: dict[Modality, TimeOffset] = {}
    known: dict[Modality, Turns] = {}
    for modality in others:
        why = _unknown(modality, against, calibration, intervals)
        if why:
            found[modality] = TimeOffset(modality, against, unknown=why)
        elif modality == Modality.EVENT:
            found[modality] = _of_events(bag, sensors, calibration)
        else:
            for one in (against, modality):
                if one not in known:
                    known[one] = _turns(bag, sensors[one], one, calibration)
            found[modality] = turn_offset((modality, known[modality]), (against, known[against]))
    return found


def _unknown(
    modality: Modality,
    against: Modality,
    calibration: BagCalibration,
    intervals: Mapping[Modality, float],
) -> str:
    """Why nothing needs to be decoded to know that an offset cannot be told."""
    if modality == Modality.EVENT and against != Modality.RGB:
        return "there is no camera to compare events with"
    for one in (modality, against):
        if one not in calibration.poses and one != Modality.RGB:
            return f"{one.label} has no transform"
        if why := too_slow(intervals[one]):
            return f"{one.label}: {why}"
    return ""


def _turns(bag: BagReader, topic: str, modality: Modality, calibration: BagCalibration) -> Turns:
    camera = calibration.cameras.get(modality) or calibration.reference
    estimator: ImageTurns | CloudTurns
    if modality == Modality.RGB and camera:
        estimator = ImageTurns(camera)
    else:
        estimator = CloudTurns(0.5, 20.0) if modality == Modality.DEPTH else CloudTurns()
    pose = calibration.poses.get(modality, np.eye(4))[:3, :3]
    times, turns = [], []
    for stamp, data in _measurements(bag, topic, modality, _LOOKED_AT):
        try:
            turn = _turn(estimator, data, camera)
        except (InvalidMeasurement, np.linalg.LinAlgError):
            continue
        times.append(stamp)
        turns.append(np.full(3, np.nan) if turn is None else pose @ turn)
    seconds = (np.array(times, np.int64) - bag.start) * 1e-9
    return Turns(seconds, np.array(turns, np.float64).reshape(-1, 3))


def _turn(
    estimator: ImageTurns | CloudTurns, data: np.ndarray, camera: Camera | None
) -> np.ndarray | None:
    if isinstance(estimator, CloudTurns):
        if data.ndim == 2 and data.shape[1] == 4:
            return estimator.turn(data)
        if camera is None or data.shape != (camera.height, camera.width):
            raise InvalidMeasurement("depth of another size than its camera's")
        return estimator.turn(depth_points(data, camera))
    if camera is None or data.shape[:2] != (camera.height, camera.width):
        raise InvalidMeasurement("an image of another size than its camera's")
    return estimator.turn(data)


def _measurements(
    bag: BagReader, topic: str, modality: Modality, count: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Stamps in ns and what was measured, at rising times that are some way apart."""
    video, last, found = VideoDecoder(), None, 0
    for recorded in bag.messages([topic]):
        msg = recorded.message
        stamp = messages.stamp_ns(msg.header.stamp)
        wanted = last is None or stamp - last >= _APART
        try:
            frame = video.decode(msg) if messages.is_video(msg) else None
            if not wanted:
                continue
            data = picture(frame) if frame is not None else _decoded(msg, modality)
        except InvalidMeasurement:
            continue
        last = stamp
        yield stamp, data
        found += 1
        if found >= count:
            return


def _decoded(msg: Any, modality: Modality) -> np.ndarray:
    if modality == Modality.LIDAR:
        return messages.decode_cloud(msg)
    return messages.decode_depth(msg) if modality == Modality.DEPTH else messages.decode_image(msg)


def _of_events(
    bag: BagReader, sensors: Mapping[Modality, str], calibration: BagCalibration
) -> TimeOffset:
    camera = calibration.cameras.get(Modality.RGB) or calibration.reference
    own = calibration.cameras.get(Modality.EVENT)
    event, rgb = Modality.EVENT, Modality.RGB
    if camera is None or own is None:
        return TimeOffset(event, rgb, unknown="the event camera has no camera_info")
    stamps: list[int] = []
    images: list[np.ndarray] = []
    view = camera
    raster = EventCounter(own, [0]).raster
    for stamp, image in _measurements(bag, sensors[rgb], rgb, _IMAGES):
        if stamps and not 0 < stamp - stamps[0] < _LONGEST:
            break
        if image.shape[:2] == (camera.height, camera.width):
            small, view = shrunk(image, camera, raster)
            stamps.append(stamp)
            images.append(small)
    if len(stamps) < 2:
        return TimeOffset(event, rgb, unknown="there are no images")
    counter = EventCounter(own, stamps)
    why = _count(bag, sensors[event], counter)
    if why:
        return TimeOffset(event, rgb, unknown=why)
    pose = calibration.poses.get(event, np.eye(4))
    return event_offset(images, stamps, view, counter, pose)


def _count(bag: BagReader, topic: str, counter: EventCounter) -> str:
    """Count the events that are needed; why that cannot be, or nothing."""
    decoder = messages.EventDecoder()
    for recorded in bag.messages([topic]):
        if hasattr(recorded.message, "data"):
            return "rendered event images are not compared"
        try:
            events = decoder.decode(recorded.message)
        except InvalidMeasurement:
            continue
        counter.add(events)
        if len(events) and events.t[0] > counter.end + _BEHIND:
            break
    return ""
