"""Where the sensors stand and what their cameras are: CameraInfo, TF, parameters, and a file."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tf2_ros
from rclpy.time import Time

from any2seg_ros.files import write_atomically
from any2seg_ros.messages import camera_from_info, transform_matrix
from any2seg_ros.modalities import Camera, Modality, Unusable
from any2seg_ros.parameters import NodeParameters
from any2seg_ros.pipeline import Pipeline

_LOOK_AGAIN = 1_000_000_000


class Geometry:
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
        name = parameters.reference_file
        self._file = Path(name).expanduser() if name else None
        self._refused = "no camera_info yet"
        pipeline.reference_frame = parameters.reference_frame or pipeline.reference_frame
        pipeline.cameras.clear()
        pipeline.poses.clear()
        self.notes: list[str] = []
        self.changed = False
        """A sensor has been located for the first time: tables could be made beforehand."""
        for modality in Modality:
            pose = parameters.pose(modality)
            if pose is not None:
                pipeline.poses[modality] = pose
        if self._fixed is not None:
            pipeline.reference = self._fixed
        elif self._file is not None:
            self._recall(self._file)

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
        """Take a CameraInfo; Unusable if it is not calibrated."""
        try:
            camera = camera_from_info(msg)
        except Unusable as reason:
            if modality == Modality.RGB:
                self._refused = str(reason)
            raise
        registered = self._parameters.sensors[modality].registered
        if modality != Modality.RGB:
            if not registered:
                self._pipeline.cameras[modality] = camera
            return
        self._pipeline.cameras[modality] = camera
        if not self._parameters.reference_frame:
            self._pipeline.reference_frame = msg.header.frame_id
        if self._fixed is None and self._pipeline.reference != camera:
            self._pipeline.reference = camera
            if self._file is not None:
                self._remember(self._file, camera)

    def locate(self, modality: Modality, frame_id: str) -> None:
        """Make sure that the pipeline knows the sensor's camera and pose; Unusable if it cannot."""
        sensor = self._parameters.sensors[modality]
        if self._pipeline.reference is None:
            raise Unusable(f"reference camera is unknown: {self._refused}")
        needs_camera = modality in (Modality.DEPTH, Modality.EVENT) and not sensor.registered
        if needs_camera and modality not in self._pipeline.cameras:
            raise Unusable("no camera_info of the sensor yet")
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
        if not self.reference_frame:
            raise Unusable("frame of the reference camera is unknown: set reference_frame")
        try:
            found = self._buffer.lookup_transform(self.reference_frame, frame_id, Time())
        except tf2_ros.TransformException as error:
            if frame_id == self.reference_frame:
                self._pipeline.poses.pop(modality, None)
                return
            raise Unusable(f"no transform to the reference camera: {error}") from None
        self._pipeline.poses[modality] = transform_matrix(found.transform)

    def _remember(self, path: Path, camera: Camera) -> None:
        text = json.dumps({"frame": self.reference_frame, "camera": asdict(camera)}, indent=2)
        try:
            write_atomically(path, text + "\n")
        except OSError as error:
            self.notes.append(f"the reference camera cannot be kept in {path}: {error}")

    def _recall(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            values = json.loads(path.read_text())
            camera = dict(values["camera"], distortion=tuple(values["camera"]["distortion"]))
            self._pipeline.reference = Camera(**camera)
            self._pipeline.reference_frame = self.reference_frame or str(values["frame"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.notes.append(f"{path} holds no reference camera, it is made anew: {error}")
