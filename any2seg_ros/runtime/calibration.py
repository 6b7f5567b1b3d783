"""Keeps track of the cameras and poses of a vehicle, from parameters, camera_info and transforms.

The node feeds it from its subscriptions and TF, replay from the topics of a bag. It belongs to the
thread that hears messages; other threads get `current`, a value that never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from any2seg_ros.messages import camera_from_info, is_rectified, rectifying_rotation
from any2seg_ros.messages.cameras import rectified_note
from any2seg_ros.preprocessing.camera_models import image_radius
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.proving import Proving
from any2seg_ros.runtime.reference_file import ReferenceFile
from any2seg_ros.types import (
    IDENTITY,
    UNCALIBRATED,
    Calibration,
    Camera,
    InvalidMeasurement,
    Modality,
    plain,
)

LOOK_AGAIN = 1_000_000_000
"""ns after which the pose of a sensor is looked up again."""
SAID_FOR = 3_000_000_000
"""ns for which a status says that something else was told and not believed."""
FAR, TURNED = 1.5, 0.5
"""m and rad by which a pose may move from one look-up to the next; more must prove itself."""
STILL = 1e-3
"""rad and m by which a pose may move and count as the same: tables are made for every other one."""

_LONGEST_FRAME = 200
_FOCAL = (0.08, 60.0)
"""Focal lengths in sides of the image: 160 degrees wide to one degree."""
_SEEN = 0.5
"""Share of half the shorter side to which a lens must map rays at least."""

Lookup = Callable[[str, str], np.ndarray]
"""(target frame, source frame) -> float64 (4, 4) that maps source to target; LookupError says why
there is none."""


@dataclass(frozen=True)
class Told:
    """What a CameraInfo says: the camera, of RGB its frame, and how its rectified image is turned.

    turn: 16 numbers of a (4, 4), None where only the camera is known.
    """

    camera: Camera
    frame: str = ""
    turn: tuple[float, ...] | None = None


class CalibrationTracker:
    """The calibration as of the last message, in `current`.

    initial: what is known before the first message. topics: of the sensors' images, whose names
    tell whether they are rectified. `notes` are for the log, to be taken away.
    """

    def __init__(
        self,
        parameters: NodeParameters,
        lookup: Lookup,
        initial: Calibration = UNCALIBRATED,
        topics: Mapping[Modality, str] = MappingProxyType({}),
    ) -> None:
        self._topics = topics
        self._flat: dict[Modality, bool] = {}
        """Whether a sensor's images are rectified, once its CameraInfo was heard."""
        self._turns: dict[Modality, np.ndarray] = {}
        """float64 (4, 4), from a camera's frame to that of its rectified image."""
        self._parameters = parameters
        self._lookup = lookup
        self._fixed = parameters.reference_camera()
        self._pinned = parameters.reference_pinned and bool(parameters.reference_file)
        self._looked_up: dict[Modality, tuple[str, int]] = {}
        """By sensor: frame_id and arrival (ns) when its pose was looked up last."""
        self._pose_frames: dict[Modality, str] = {}
        """By sensor: the frame_id that its pose was looked up for."""
        self._cameras: dict[Modality, Proving[Told]] = {m: Proving() for m in Modality}
        self._frames: dict[Modality, Proving[str]] = {m: Proving() for m in Modality}
        """By sensor: the frame_id of its messages."""
        self._jumps: dict[Modality, Proving[int]] = {}
        """By sensor: poses that lie far from the known one, by number."""
        self._jumped: dict[Modality, np.ndarray] = {}
        self._doubts = Doubts()
        self._refused = "no camera_info yet"
        self._file: ReferenceFile | None = None
        self.notes: list[str] = []
        self.current = self._initial(initial)

    def _initial(self, initial: Calibration) -> Calibration:
        """Parameters count more than what is known otherwise."""
        parameters = self._parameters
        given = {m: pose for m in Modality if (pose := parameters.pose(m)) is not None}
        calibration = replace(
            initial,
            reference=self._fixed or initial.reference,
            reference_frame=parameters.reference_frame or initial.reference_frame,
            poses={**initial.poses, **given},
        )
        if self._fixed is None and parameters.reference_file:
            calibration = self._from_file(parameters.reference_file, calibration)
            if self._pinned:
                self._fixed = calibration.reference
        for modality, camera in calibration.cameras.items():
            self._cameras[modality].known = Told(camera)
        if self._fixed is None and calibration.reference is not None:
            known = calibration.cameras.get(Modality.RGB, calibration.reference)
            self._cameras[Modality.RGB].known = Told(known, calibration.reference_frame)
        return calibration

    def _from_file(self, name: str, calibration: Calibration) -> Calibration:
        self._file = ReferenceFile(name)
        kept, note = self._file.load()
        if note:
            self.notes.append(note)
        if kept is None:
            return calibration
        camera, frame = kept
        return replace(
            calibration, reference=camera, reference_frame=calibration.reference_frame or frame
        )

    def forget(self) -> None:
        """Look all poses up again, as after a jump of time."""
        self._looked_up.clear()

    @property
    def camera_from_rectified(self) -> np.ndarray:
        """float64 (4, 4): points of the reference camera, rectified or not, in its TF frame."""
        turn = self._turns.get(Modality.RGB)
        return IDENTITY if turn is None else turn.T

    def warnings(self, now: int) -> dict[Modality, str]:
        """By sensor: what was told lately and not believed, how long already, and what counts.

        now: arrival, ns.
        """
        return self._doubts.said(now)

    def on_camera_info(self, modality: Modality, msg: Any, arrival: int = 0) -> None:
        """Take a CameraInfo; InvalidMeasurement if it is not calibrated, or wildly.

        The first one of a sensor counts at once; that of RGB is the reference camera. Another one
        has to prove itself by others, or by images where these are of its size and not of the
        known one's, without any that contradict it: a broken one must not cost all sensors their
        geometry. arrival: ns of a steady clock.
        """
        if modality != Modality.RGB and self._parameters.sensors[modality].registered:
            return
        try:
            told = self._told(modality, msg)
            check_plausible(told.camera)
        except InvalidMeasurement as reason:
            if modality == Modality.RGB:
                self._refused = str(reason)
            raise
        proving = self._cameras[modality]
        known = proving.known
        if known is not None:
            told = replace(told, frame=told.frame or known.frame)
            if known.turn is None and replace(told, turn=None) == known:
                proving.known = told
            elif told.frame != known.frame:
                self._check_frame(told.frame)
        if proving.offer(told, arrival):
            self._take_camera(modality)
        elif known is not None:
            self._doubts.note(modality, _doubt(told, known), arrival)

    def geometry(self, modality: Modality) -> str:
        """Which part of its camera_info is a sensor's geometry, in words; empty where none came."""
        if modality not in self._flat:
            return ""
        return "rectified: P, no distortion" if self._flat[modality] else "raw: K and D"

    def on_image_size(self, modality: Modality, size: tuple[int, int]) -> None:
        """Note the size, (width, height) px, that a message has."""
        sizes = self.current.image_sizes
        if sizes.get(modality) != size:
            self.current = replace(self.current, image_sizes={**sizes, modality: size})

    def _told(self, modality: Modality, msg: Any) -> Told:
        """What a CameraInfo says of the images, raw or rectified."""
        topic, setting = (
            self._topics.get(modality, ""),
            self._parameters.sensors[modality].rectified,
        )
        flat = is_rectified(topic, msg, setting)
        camera = camera_from_info(msg, flat)
        if flat and not self._flat.get(modality):
            self.notes.append(rectified_note(topic or modality.label, modality.label, setting))
        self._flat[modality] = flat
        turn = rectifying_rotation(msg) if flat else np.eye(4)
        frame = frame_of(msg) if modality == Modality.RGB else ""
        return Told(camera, frame, tuple(turn.ravel().tolist()))

    def _turned(self, modality: Modality, pose: np.ndarray) -> np.ndarray:
        """The pose of a sensor's images in the reference camera's, where these are rectified."""
        reference = self._turns.get(Modality.RGB)
        own = self._turns.get(modality)
        pose = pose if reference is None else reference @ pose
        return pose if own is None else pose @ own.T

    def locate(self, modality: Modality, frame_id: str, arrival: int) -> None:
        """Look up the sensor's pose if it is time; InvalidMeasurement if something is unknown.

        arrival: ns, when the message came that has this frame_id.
        """
        self._see_size(modality, arrival)
        sensor = self._parameters.sensors[modality]
        if self.current.reference is None:
            raise InvalidMeasurement(f"reference camera is unknown: {self._refused}")
        needs_camera = modality in (Modality.DEPTH, Modality.EVENT) and not sensor.registered
        if needs_camera and modality not in self.current.cameras:
            raise InvalidMeasurement(f"no message on {modality.label}/camera_info yet")
        self._check_own_frame(modality, frame_id, arrival)
        known, looked = self._looked_up.get(modality, ("", 0))
        if known == frame_id and 0 <= arrival - looked < LOOK_AGAIN:
            return
        if sensor.extrinsics == "tf" and not sensor.registered:
            self._update_pose(modality, frame_id, arrival)
        self._looked_up[modality] = (frame_id, arrival)

    def _has_pose(self, modality: Modality, frame_id: str) -> bool:
        sensor, target = self._parameters.sensors[modality], self.current.reference_frame
        if not frame_id or sensor.extrinsics != "tf" or sensor.registered or not target:
            return bool(frame_id)
        try:
            self._lookup(target, frame_id)
        except LookupError:
            return frame_id == target
        return True

    def _set_camera(self, modality: Modality, camera: Camera) -> None:
        cameras = self.current.cameras
        if cameras.get(modality) != camera:
            self.current = replace(self.current, cameras={**cameras, modality: camera})

    def _see_size(self, modality: Modality, arrival: int) -> None:
        """An image came: its size speaks for the camera that is told of, or against it.

        For neither where the known camera, told before by a message, has the same size.
        """
        proving, size = self._cameras[modality], self.current.image_sizes.get(modality)
        told, known = proving.candidate, proving.known
        if told is None or known is None or size is None:
            return
        same = _size(told.camera) == _size(known.camera)
        if size == _size(told.camera):
            if not (same and known.turn) and proving.support(arrival):
                self._take_camera(modality)
        elif size == _size(known.camera):
            proving.doubt()

    def _take_camera(self, modality: Modality) -> None:
        told, before = self._cameras[modality].known, self.current
        assert told is not None
        self._set_camera(modality, told.camera)
        turn = np.reshape(told.turn or IDENTITY, (4, 4))
        if not np.array_equal(turn, self._turns.get(modality, IDENTITY)):
            self._expect_other_poses()
        self._turns[modality] = turn
        if modality != Modality.RGB:
            return
        given = self._parameters.reference_frame or (
            before.reference_frame if self._fixed is not None and self._pinned else ""
        )
        frame = given or told.frame or before.reference_frame
        if before.reference_frame and frame != before.reference_frame:
            self._expect_other_poses()
        self._set_reference(self._fixed or told.camera, frame)
        if self._pinned:
            self._fixed = self.current.reference

    def _expect_other_poses(self) -> None:
        """All are looked up again, and may be anywhere."""
        self._looked_up.clear()
        self._pose_frames.clear()

    def _check_frame(self, frame: str) -> None:
        """InvalidMeasurement for a reference frame in which known sensors would have no pose."""
        if not frame or self._parameters.reference_frame or frame == self.current.reference_frame:
            return
        for modality, own in self._pose_frames.items():
            try:
                self._lookup(frame, own)
            except LookupError as error:
                raise InvalidMeasurement(
                    f"camera_info is of another frame, {frame}, to which {modality.label} has no "
                    f"transform: {self.current.reference_frame} stays ({error})"
                ) from None

    def _check_own_frame(self, modality: Modality, frame_id: str, arrival: int) -> None:
        """InvalidMeasurement for messages of another frame than the sensor's.

        Clouds may be of several LiDARs: nothing is made anew for each of them.
        """
        frames = self._frames[modality]
        if modality == Modality.LIDAR:
            return
        if frames.known not in (None, frame_id) and not self._has_pose(modality, frame_id):
            raise InvalidMeasurement(
                f"frame_id is '{frame_id}', which has no transform, but was {frames.known}"
            )
        if frames.offer(frame_id, arrival):
            return
        raise InvalidMeasurement(
            f"frame_id is {frame_id}, but was {frames.known}: another one has to prove itself for "
            "some seconds"
        )

    def _set_reference(self, camera: Camera | None, frame: str) -> None:
        before = self.current
        if (camera, frame) == (before.reference, before.reference_frame):
            return
        self.current = replace(before, reference=camera, reference_frame=frame)
        if self._file is not None and camera is not None:
            self.notes += self._file.store(camera, frame)

    def _update_pose(self, modality: Modality, frame_id: str, arrival: int) -> None:
        if modality == Modality.RGB and not self.current.reference_frame:
            self._set_reference(self.current.reference, frame_id)
        target = self.current.reference_frame
        if not target:
            raise InvalidMeasurement(
                "frame of the reference camera is unknown: set reference_frame"
            )
        poses = dict(self.current.poses)
        known = poses.get(modality)
        try:
            pose = self._turned(modality, self._lookup(target, frame_id))
        except LookupError as error:
            if frame_id == target:
                poses.pop(modality, None)
            elif known is None or self._pose_frames.get(modality, frame_id) != frame_id:
                raise InvalidMeasurement(
                    f"no transform from {frame_id} to the reference camera's frame, {target}: "
                    f"publish it, or set {modality.label}.extrinsics ({error})"
                ) from None
            else:
                # The last good pose stays where transforms were lost, as in a jump of time.
                self._doubts.note(modality, f"no transform to {target}, last pose kept", arrival)
        else:
            same_frame = self._pose_frames.get(modality) == frame_id
            if same_frame and not self._believed(modality, known, pose, arrival):
                self._doubts.note(modality, "its pose jumps in TF, last pose kept", arrival)
                return
            self._pose_frames[modality] = frame_id
            if known is None or not np.abs(pose - known).max() <= STILL:
                poses[modality] = pose
        if poses.get(modality) is not known:
            self.current = replace(self.current, poses=poses)

    def _believed(
        self, modality: Modality, known: np.ndarray | None, pose: np.ndarray, arrival: int
    ) -> bool:
        """Whether a pose is near the known one, or far and has proved itself."""
        jumps = self._jumps.setdefault(modality, Proving(0))
        if known is None or _near(pose, known):
            jumps.doubt()
            return True
        last = self._jumped.get(modality)
        number = jumps.candidate or (jumps.known or 0) + 1
        if jumps.candidate is not None and (last is None or not _near(pose, last)):
            number += 1  # not the one that was told before
        self._jumped[modality] = pose
        return jumps.offer(number, arrival)


class Doubts:
    """What was told and not believed, by sensor, until it is told no more."""

    def __init__(self) -> None:
        self._noted: dict[Modality, tuple[str, int, int]] = {}
        """Text, and arrivals (ns) of its first and last."""

    def note(self, modality: Modality, text: str, now: int) -> None:
        """Something was not believed; now: ns."""
        known = self._noted.get(modality)
        fresh = known is not None and now - known[2] <= SAID_FOR
        self._noted[modality] = (text, known[1] if known and fresh else now, now)

    def said(self, now: int) -> dict[Modality, str]:
        """By sensor, what was noted lately and for how long; now: ns."""
        return {
            modality: f"{text} for {(now - first) * 1e-9:.0f} s"
            for modality, (text, first, last) in self._noted.items()
            if now - last <= SAID_FOR
        }


def check_plausible(camera: Camera) -> None:
    """InvalidMeasurement for a camera that no lens is like: it would bend or stretch everything."""
    for focal, length in ((camera.fx, camera.width), (camera.fy, camera.height)):
        if not _FOCAL[0] < focal / length < _FOCAL[1]:
            raise InvalidMeasurement(
                f"camera_info has a wild focal length: {focal:g} for {length} px"
            )
    for centre, length in ((camera.cx, camera.width), (camera.cy, camera.height)):
        if not -length < centre < 2 * length:
            raise InvalidMeasurement(f"camera_info has a wild centre: {centre:g} of {length} px")
    try:
        seen = image_radius(camera)
    except ValueError as error:
        raise InvalidMeasurement(f"camera_info: {error}") from None
    if seen < _SEEN * min(camera.width, camera.height) / 2:
        raise InvalidMeasurement(
            f"camera_info has a wild distortion: rays end {seen:.0f} px from the centre of "
            f"{camera.width}x{camera.height} (d = {', '.join(f'{k:g}' for k in camera.distortion)})"
        )


def _near(pose: np.ndarray, other: np.ndarray) -> bool:
    """Whether two poses (4, 4) are within FAR and TURNED."""
    cosine = (np.trace(pose[:3, :3].T @ other[:3, :3]) - 1) / 2
    moved = float(np.linalg.norm(pose[:3, 3] - other[:3, 3]))
    return moved <= FAR and cosine >= np.cos(TURNED)


def _size(camera: Camera) -> tuple[int, int]:
    return camera.width, camera.height


def _doubt(told: Told, known: Told) -> str:
    """What differs of a camera that is not believed."""
    camera = told.camera
    if _size(camera) != _size(known.camera):
        other = f"of {camera.width}x{camera.height}"
    elif told.frame != known.frame:
        other = f"of frame {told.frame}"
    else:
        other = f"of focal length {camera.fx:g}"
    return f"another camera_info, {other}, last one kept"


def frame_of(msg: Any) -> str:
    """A message's frame_id without the slash in front that ROS 1 allowed.

    InvalidMeasurement for one that nobody could mean: masks carry it on to whoever listens.
    """
    frame = str(msg.header.frame_id)
    if len(frame) > _LONGEST_FRAME or not frame.isprintable():
        raise InvalidMeasurement(
            f"frame_id '{plain(frame)}' is none: at most {_LONGEST_FRAME} characters that can be "
            "printed"
        )
    return frame.lstrip("/")
