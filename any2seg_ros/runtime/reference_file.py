"""The reference camera on disk, so that LiDAR alone is segmented after a restart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

from any2seg_ros.files import write_atomically
from any2seg_ros.messages import camera_from_info, info_fields
from any2seg_ros.types import Camera


class ReferenceFile:
    """One camera and its TF frame, as JSON. Nothing here raises: the node lives without it.

    A file that is not of this kind is never overwritten.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._path: Path | None = None

    def load(self) -> tuple[tuple[Camera, str] | None, str]:
        """(camera and frame, or None; a note for the log, or empty)."""
        try:
            path = Path(self._name).expanduser()
        except RuntimeError as error:
            return None, f"reference_file '{self._name}' cannot be used, set another path: {error}"
        self._path = path
        try:
            if not path.exists():
                return None, ""
            text = path.read_bytes().lstrip()
            if text and not text.startswith(b"{"):
                self._path = None
                return None, f"reference_file {path} is another kind of file: left as it is"
            return _parsed(text.decode()), ""
        except Exception as error:  # whatever stands there
            return None, f"{path} holds no reference camera and will be replaced: {error}"

    def store(self, camera: Camera, frame: str) -> list[str]:
        """Write the file; returns a note for the log where that fails."""
        if self._path is None:
            return []
        text = json.dumps({"frame": frame, "camera": asdict(camera)}, indent=2)
        try:
            write_atomically(self._path, text + "\n")
        except OSError as error:
            return [f"the reference camera cannot be stored in {self._path}: {error}"]
        return []


def _parsed(text: str) -> tuple[Camera, str]:
    """The camera and its frame, checked as strictly as a CameraInfo."""
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
