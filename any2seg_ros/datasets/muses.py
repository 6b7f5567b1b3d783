"""MUSES (Broedermann et al., ECCV 2024): real drives with camera, LiDAR and events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros.datasets.files import (
    existing,
    other_splits,
    read_image,
    read_json,
    read_label,
    read_rgb,
)
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.taxonomy import CITYSCAPES
from any2seg_ros.types import (
    Camera,
    Events,
    Frame,
    Measurement,
    Modality,
    Subset,
    subset_name,
)

_MOST_EVENTS = 200_000_000
"""Events of a recording at most."""
EVENT_WINDOW = 30_000_000
"""Nanoseconds of events before the last one of a recording that are used."""
EVENT_SIZE = (1280, 720)
"""(width, height) of the event camera in pixels."""

NO_EVENTS = "events of MUSES need h5py: pip install h5py hdf5plugin"

_SIBLINGS = {
    "gt_semantic": "gt_labelTrainIds.png",
    "lidar": "lidar.bin",
    "event_camera": "event_camera.h5",
}


class MusesData:
    """Frames of one split: RGB, LiDAR (n, 6 float64: x y z intensity ring time) and events.

    Depth is no sensor of MUSES. Events need h5py, and hdf5plugin for those that are compressed;
    without h5py they are none of the modalities, which is noted. Radar is not read.
    """

    taxonomy = CITYSCAPES
    groups = ClassGroups.of_classes(CITYSCAPES)

    def __init__(self, root: Path, split: str, wanted: Subset = ()) -> None:
        self.modalities: tuple[Modality, ...] = (Modality.RGB, Modality.LIDAR)
        self.notes: list[str] = []
        if _h5py():
            self.modalities += (Modality.EVENT,)
        else:
            self.notes.append(NO_EVENTS)
        self._choose(wanted)
        self.root = Path(root)
        pattern = f"frame_camera/{split}/*/*/*_frame_camera.png"
        self.paths = sorted(self.root.glob(pattern))
        if not self.paths:
            hint = other_splits(self.root, "frame_camera/*") or "give the root of MUSES"
            raise FileNotFoundError(f"no frames at {self.root}/{pattern}: {hint}")

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """`<weather>/<day or night>/<recording>`."""
        path = self.paths[index]
        return "/".join((*self.conditions(index), path.name.removesuffix("_frame_camera.png")))

    def files(self, index: int) -> Iterator[Path]:
        """See `DataSet.files`."""
        yield self.paths[index]
        for kind in _SIBLINGS:
            yield self._path(index, kind)
        yield self._calibration_file

    def conditions(self, index: int) -> tuple[str, ...]:
        """Weather and time of day."""
        return self.paths[index].parts[-3:-1]

    def reference(self, index: int) -> Camera:
        """The frame camera; its images are rectified."""
        height, width = read_image(self.paths[index], cv2.IMREAD_GRAYSCALE).shape
        return self._camera("rgb", width, height)

    def __getitem__(self, index: int) -> Frame:
        label = read_label(self._path(index, "gt_semantic"), cv2.IMREAD_GRAYSCALE)
        measurements = [Measurement(Modality.RGB, 1, read_rgb(self.paths[index]))]
        if Modality.LIDAR in self.modalities:
            measurements.append(self._lidar(index))
        if Modality.EVENT in self.modalities:
            measurements.append(self._events(index))
        return Frame.of(*measurements, label=label, name=self.name(index))

    def _choose(self, wanted: Subset) -> None:
        lacking = [modality for modality in wanted if modality not in self.modalities]
        if lacking:
            why = "; ".join(self.notes) or f"it has {subset_name(self.modalities)}"
            raise ValueError(f"there is no {subset_name(lacking)} in MUSES: {why}")
        self.modalities = wanted or self.modalities

    def _lidar(self, index: int) -> Measurement:
        path = existing(self._path(index, "lidar"))
        raw = np.fromfile(path, np.float64)
        if raw.size % 6:
            raise ValueError(f"{path} is no MUSES LiDAR file: it is not a multiple of 6 numbers")
        points = raw.reshape(-1, 6)[:, :4].astype(np.float32)
        largest = points[:, 3].max(initial=0)
        points[:, 3] /= 255 if largest > 1 else 1
        pose = self._matrix(4, "extrinsics", "lidar2rgb")
        return Measurement(Modality.LIDAR, 1, points, None, pose)

    def _events(self, index: int) -> Measurement:
        """They are undistorted already, as MUSES' own reader takes them."""
        events = _last_events(existing(self._path(index, "event_camera")))
        stamp = int(events.t[-1]) if len(events) else 0
        camera = self._camera("event", events.width, events.height)
        pose = self._matrix(4, "extrinsics", "event2rgb")
        return Measurement(Modality.EVENT, stamp, events, camera, pose)

    def _path(self, index: int, kind: str) -> Path:
        path = self.paths[index]
        recording = path.name.removesuffix("frame_camera.png")
        return self.root.joinpath(kind, *path.parts[-4:-1], recording + _SIBLINGS[kind])

    def _camera(self, name: str, width: int, height: int) -> Camera:
        k = self._matrix(3, "intrinsics", name, "K")
        return Camera(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])

    def _matrix(self, size: int, *keys: str) -> np.ndarray:
        """The matrix float64 (size, size) that calib.json has there; ValueError without one."""
        found: Any = self._calibration
        try:
            for key in keys:
                found = found[key]
            return np.array(found, np.float64).reshape(size, size)
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{self._calibration_file} has no {size} x {size} matrix at {'/'.join(keys)}: "
                "fetch it again"
            ) from None

    @property
    def _calibration_file(self) -> Path:
        return self.root / "calib.json"

    @cached_property
    def _calibration(self) -> Any:
        return read_json(existing(self._calibration_file))


def _last_events(path: Path) -> Events:
    """The events of the last `EVENT_WINDOW` of a recording; ValueError if it has none."""
    try:
        with _h5py().File(path) as file:
            group = file.get("events", file)
            if group["t"].shape[0] > _MOST_EVENTS:
                raise OSError(f"it has more than {_MOST_EVENTS} events")
            t = group["t"][:].astype(np.int64) * 1000
            first = np.searchsorted(t, t[-1] - EVENT_WINDOW) if len(t) else 0
            x, y, p = (group[name][first:] for name in ("x", "y", "p"))
    except (KeyError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): fetch it again, or pip install hdf5plugin"
        ) from None
    return Events(t[first:], x.astype(np.uint16), y.astype(np.uint16), p.astype(bool), *EVENT_SIZE)


def _h5py() -> Any:
    """The module, None where it cannot be imported; with the filters of hdf5plugin if it can."""
    try:
        import h5py
    except ImportError:
        return None
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401
    return h5py
