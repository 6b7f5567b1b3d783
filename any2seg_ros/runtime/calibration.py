"""Keeps track of the cameras and poses of a vehicle, from parameters, camera_info and transforms.

The node feeds it from its subscriptions and TF, replay from the topics of a bag. It belongs to the
thread that hears messages; other threads get `current`, a value that never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from any2seg_ros.messages import camera_from_info, is_rectified, rectifying_rotation
from any2seg_ros.messages.cameras import rectified_note
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.reference_file import ReferenceFile
from any2seg_ros.types import UNCALIBRATED, Calibration, Camera, InvalidMeasurement, Modality, plain

LOOK_AGAIN = 1_000_000_000
"""ns after which the pose of a sensor is looked up again."""
AGREEING = 3
"""CameraInfos in a row that change the reference camera without an image of their size."""
STILL = 1e-3
"""rad and m by which a pose may move and count as the same: tables are made for every other one."""

_LONGEST_FRAME = 200

Lookup = Callable[[str, str], np.ndarray]
"""(target frame, source frame) -> float64 (4, 4) that maps source to target; LookupError says why
there is none."""


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
        self._turns: dict[Modality, np.ndarray] = {}
        """float64 (4, 4), from a camera's frame to that of its rectified image."""
        self._parameters = parameters
        self._lookup = lookup
        self._fixed = parameters.reference_camera()
        self._looked_up: dict[Modality, tuple[str, int]] = {}
        """By sensor: frame_id and arrival (ns) when its pose was looked up last."""
        self._pose_frames: dict[Modality, str] = {}
        """By sensor: the frame_id that its pose was looked up for."""
        self._candidate: tuple[Camera, str] | None = None
        """The last reference camera that a CameraInfo told of, and its frame."""
        self._repeats = 0
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

    def on_camera_info(self, modality: Modality, msg: Any) -> None:
        """Take a CameraInfo; InvalidMeasurement if it is not calibrated.

        The first one of RGB becomes the reference camera at once. A change waits for an image of
        its size or for others that agree: a broken one must not cost all sensors their geometry.
        """
        if modality != Modality.RGB and self._parameters.sensors[modality].registered:
            return
        try:
            camera = self._camera(modality, msg)
        except InvalidMeasurement as reason:
            if modality == Modality.RGB:
                self._refused = str(reason)
            raise
        if modality != Modality.RGB:
            self._set_camera(modality, camera)
            return
        candidate = (camera, frame_of(msg))
        self._repeats = self._repeats + 1 if candidate == self._candidate else 1
        self._candidate = candidate
        self._consider(*candidate)

    def on_image_size(self, modality: Modality, size: tuple[int, int]) -> None:
        """Note the size, (width, height) px, that a message has."""
        sizes = self.current.image_sizes
        if sizes.get(modality) != size:
            self.current = replace(self.current, image_sizes={**sizes, modality: size})

    def _camera(self, modality: Modality, msg: Any) -> Camera:
        """The camera of the images, raw or rectified."""
        topic, setting = (
            self._topics.get(modality, ""),
            self._parameters.sensors[modality].rectified,
        )
        flat = is_rectified(topic, msg, setting)
        camera = camera_from_info(msg, flat)
        if flat and modality not in self._turns:
            self.notes.append(rectified_note(topic or modality.label, modality.label, setting))
        turn = rectifying_rotation(msg) if flat else np.eye(4)
        if not np.array_equal(turn, self._turns.get(modality, np.eye(4))):
            self._looked_up.clear()
        self._turns[modality] = turn
        return camera

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
        if modality == Modality.RGB and self._candidate is not None:
            self._consider(*self._candidate)
        sensor = self._parameters.sensors[modality]
        if self.current.reference is None:
            raise InvalidMeasurement(f"reference camera is unknown: {self._refused}")
        needs_camera = modality in (Modality.DEPTH, Modality.EVENT) and not sensor.registered
        if needs_camera and modality not in self.current.cameras:
            raise InvalidMeasurement(f"no message on {modality.label}/camera_info yet")
        known, looked = self._looked_up.get(modality, ("", 0))
        if known == frame_id and 0 <= arrival - looked < LOOK_AGAIN:
            return
        if sensor.extrinsics == "tf" and not sensor.registered:
            self._update_pose(modality, frame_id)
        self._looked_up[modality] = (frame_id, arrival)

    def _set_camera(self, modality: Modality, camera: Camera) -> None:
        cameras = self.current.cameras
        if cameras.get(modality) != camera:
            self.current = replace(self.current, cameras={**cameras, modality: camera})

    def _consider(self, camera: Camera, frame: str) -> None:
        """Take what a CameraInfo of RGB said, if nothing is known or something confirms it."""
        before = self.current
        known = before.cameras.get(Modality.RGB) or (None if self._fixed else before.reference)
        confirmed = before.image_sizes.get(Modality.RGB) == (camera.width, camera.height)
        if known not in (None, camera) and not confirmed and self._repeats < AGREEING:
            return
        self._set_camera(Modality.RGB, camera)
        own_frame = frame if frame and not self._parameters.reference_frame else ""
        self._set_reference(self._fixed or camera, own_frame or before.reference_frame)

    def _set_reference(self, camera: Camera | None, frame: str) -> None:
        before = self.current
        if (camera, frame) == (before.reference, before.reference_frame):
            return
        self.current = replace(before, reference=camera, reference_frame=frame)
        if self._file is not None and camera is not None:
            self.notes += self._file.store(camera, frame)

    def _update_pose(self, modality: Modality, frame_id: str) -> None:
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
            # The last good pose stays where transforms were lost, as in a jump of time.
        else:
            self._pose_frames[modality] = frame_id
            if known is None or not np.abs(pose - known).max() <= STILL:
                poses[modality] = pose
        if poses.get(modality) is not known:
            self.current = replace(self.current, poses=poses)


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
