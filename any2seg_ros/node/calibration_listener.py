"""Where the sensors stand and what their cameras are: CameraInfo, TF, parameters, and a file."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tf2_ros
from rclpy.time import Time

from any2seg_ros.files import write_atomically
from any2seg_ros.messages import camera_from_info, info_fields, transform_matrix
from any2seg_ros.runtime.parameters import NodeParameters
from any2seg_ros.runtime.pipeline import Pipeline
from any2seg_ros.types import Camera, InvalidMeasurement, Modality

_LOOK_AGAIN = 1_000_000_000
"""ns after which TF is asked again."""
_AGREEING = 3
"""CameraInfos in a row that change the reference camera without an image of their size."""
_STILL = 1e-3
"""rad and m by which a pose may change and be the same: tables are made for every other one."""


class CalibrationListener:
    """Keeps the pipeline's cameras and poses up to date from what the node hears."""

    def __init__(self, node: Any, parameters: NodeParameters, pipeline: Pipeline) -> None:
        self._parameters = parameters
        self._pipeline = pipeline
        # Without the node: given one, it makes a service there that nothing takes away again.
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._looked: dict[Modality, int] = {}
        self._frames: dict[Modality, str] = {}
        self._fixed = parameters.reference_camera()
        self._file: Path | None = None
        self._offer: tuple[Camera, str] | None = None
        self._offers = 0
        self._refused = "no camera_info yet"
        pipeline.reference_frame = parameters.reference_frame or pipeline.reference_frame
        pipeline.cameras.clear()
        pipeline.poses.clear()
        pipeline.sizes.clear()
        self.notes: list[str] = []
        self.changed = False
        """A sensor has been located for the first time: tables could be made beforehand."""
        for modality in Modality:
            pose = parameters.pose(modality)
            if pose is not None:
                pipeline.poses[modality] = pose
        if self._fixed is not None:
            pipeline.reference = self._fixed
        elif parameters.reference_file:
            self._recall(parameters.reference_file)

    @property
    def reference_frame(self) -> str:
        """TF frame of the reference camera; empty while it is not known."""
        return self._pipeline.reference_frame

    def forget(self) -> None:
        """The transforms of a time that is over; static ones stay."""
        self._buffer.clear()
        self._looked.clear()

    def stop(self) -> None:
        """Listen to TF no more."""
        self._listener.unregister()

    def hear_info(self, modality: Modality, msg: Any) -> None:
        """Take a CameraInfo; InvalidMeasurement if it is not calibrated.

        The reference camera's is taken at once if none is known. A change waits for an image of
        its size or for others that agree: one that is broken shall not cost all sensors theirs.
        """
        if modality != Modality.RGB and self._parameters.sensors[modality].registered:
            return
        try:
            camera = camera_from_info(msg)
        except InvalidMeasurement as reason:
            if modality == Modality.RGB:
                self._refused = str(reason)
            raise
        if modality != Modality.RGB:
            self._pipeline.cameras[modality] = camera
            return
        offer = (camera, str(msg.header.frame_id))
        self._offers = self._offers + 1 if offer == self._offer else 1
        self._offer = offer
        self._weigh(*offer)

    def _weigh(self, camera: Camera, frame: str) -> None:
        """Take what a CameraInfo of RGB said, if nothing is known or something confirms it."""
        pipeline = self._pipeline
        known = pipeline.cameras.get(Modality.RGB) or (None if self._fixed else pipeline.reference)
        seen = pipeline.sizes.get(Modality.RGB) == (camera.width, camera.height)
        if known not in (None, camera) and not seen and self._offers < _AGREEING:
            return
        before = (pipeline.reference, self.reference_frame)
        pipeline.cameras[Modality.RGB] = camera
        pipeline.reference = self._fixed or camera
        if frame and not self._parameters.reference_frame:
            pipeline.reference_frame = frame
        if (pipeline.reference, self.reference_frame) != before:
            self._remember()

    def locate(self, modality: Modality, frame_id: str) -> None:
        """Look up the sensor's camera and pose; InvalidMeasurement if one is unknown."""
        sensor = self._parameters.sensors[modality]
        if modality == Modality.RGB and self._offer is not None:
            self._weigh(*self._offer)
        if self._pipeline.reference is None:
            raise InvalidMeasurement(f"reference camera is unknown: {self._refused}")
        needs_camera = modality in (Modality.DEPTH, Modality.EVENT) and not sensor.registered
        if needs_camera and modality not in self._pipeline.cameras:
            raise InvalidMeasurement(f"nothing heard on {modality.label}/camera_info yet")
        now = time.monotonic_ns()
        same = self._frames.get(modality) == frame_id
        if same and now - self._looked.get(modality, 0) < _LOOK_AGAIN:
            return
        if sensor.extrinsics == "tf" and not sensor.registered:
            self._look_up(modality, frame_id)
        self.changed |= modality not in self._looked
        self._looked[modality] = now
        self._frames[modality] = frame_id

    def _look_up(self, modality: Modality, frame_id: str) -> None:
        if modality == Modality.RGB and not self.reference_frame:
            self._pipeline.reference_frame = frame_id
            self._remember()
        if not self.reference_frame:
            raise InvalidMeasurement(
                "frame of the reference camera is unknown: set reference_frame"
            )
        try:
            found = self._buffer.lookup_transform(self.reference_frame, frame_id, Time())
        except tf2_ros.TransformException as error:
            if frame_id == self.reference_frame:
                self._pipeline.poses.pop(modality, None)
                return
            raise InvalidMeasurement(
                f"no transform to the reference camera, {self.reference_frame}, from {frame_id}: "
                f"publish it, or set {modality.label}.extrinsics ({error})"
            ) from None
        pose = transform_matrix(found.transform)
        known = self._pipeline.poses.get(modality)
        if known is None or not np.abs(pose - known).max() <= _STILL:
            self._pipeline.poses[modality] = pose

    def _remember(self) -> None:
        """Keep the reference camera in `reference_file`, unless parameters give it."""
        path, camera = self._file, self._pipeline.reference
        if path is None or camera is None:
            return
        text = json.dumps({"frame": self.reference_frame, "camera": asdict(camera)}, indent=2)
        try:
            write_atomically(path, text + "\n")
        except OSError as error:
            self.notes.append(f"the reference camera cannot be kept in {path}: {error}")

    def _recall(self, name: str) -> None:
        """Take the reference camera from a file if it can be had: the node lives without it."""
        try:
            self._file = path = Path(name).expanduser()
        except RuntimeError as error:
            self.notes.append(f"reference_file is '{name}', name another path: {error}")
            return
        try:
            if path.exists():
                text = path.read_bytes().lstrip()
                if text and not text.startswith(b"{"):
                    self._file = None
                    self.notes.append(f"reference_file {path} is another kind of file: it is kept")
                    return
                camera, frame = _kept(text.decode())
                self._pipeline.reference = camera
                self._pipeline.reference_frame = self.reference_frame or frame
        except Exception as error:  # whatever stands there
            self.notes.append(f"{path} holds no reference camera, it is made anew: {error}")


def _kept(text: str) -> tuple[Camera, str]:
    """The camera and its frame in a reference file, checked as strictly as a CameraInfo."""
    values = json.loads(text)
    fields, frame = values["camera"], values["frame"]
    given = Camera(**{**fields, "distortion": tuple(fields["distortion"])})
    camera = camera_from_info(SimpleNamespace(**info_fields(given)))
    size = (camera.width, camera.height)
    if (given.width, given.height) != size or given.model != camera.model:
        raise ValueError("its size is not whole, or its model is unknown")
    if not isinstance(frame, str):
        raise ValueError("its frame is no text")
    return camera, frame
