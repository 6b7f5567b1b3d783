"""The reference camera on disk, so that LiDAR alone is segmented after a restart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

from any2seg_ros.files import write_atomically
from any2seg_ros.messages import camera_from_info, info_fields
from any2seg_ros.types import Camera, plain

_KIND = "reference camera"
_FIRST = '{\n  "any2seg": "reference camera"'
"""How every file begins that is written here, whatever becomes of the rest."""
_LARGEST = 100_000


class ReferenceFile:
    """One camera and its TF frame, as JSON. Nothing here raises: the node lives without it.

    A file that was not written here is never replaced, whether it is there at first or comes later.
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
            text = _read(path)
        except (OSError, ValueError) as error:
            return None, f"reference_file {path} cannot be read: {error}"
        if text is None:
            return None, ""
        try:
            return _parsed(text), ""
        except Exception as error:  # whatever stands there
            if not _ours(text):
                return None, f"reference_file {path} is another kind of file: left as it is"
            return None, f"{path} holds no reference camera and will be replaced: {plain(error)}"

    def store(self, camera: Camera, frame: str) -> list[str]:
        """Write the file; returns a note for the log where that fails."""
        if self._path is None:
            return []
        values = {"any2seg": _KIND, "frame": frame, "camera": asdict(camera)}
        try:
            there = _read(self._path)
            if there is not None and not _ours(there):
                return [f"reference_file {self._path} is another kind of file: left as it is"]
            write_atomically(self._path, json.dumps(values, indent=2) + "\n")
        except (OSError, ValueError) as error:
            return [f"the reference camera cannot be stored in {self._path}: {error}"]
        return []


def _read(path: Path) -> str | None:
    """The beginning of a file, whatever is in it; None where there is none.

    OSError, and ValueError for what is no file: reading a pipe would wait for ever.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        return file.read(_LARGEST).decode(errors="replace")


def _ours(text: str) -> bool:
    """Whether a file was written here; those of earlier versions hold these two keys alone."""
    if text.startswith(_FIRST):
        return True
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and set(values) == {"frame", "camera"}


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
