"""MUSES (Broedermann et al., ECCV 2024): real drives with camera, LiDAR and events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros.datasets.files import read_image, read_rgb
from any2seg_ros.modalities import Camera, Events, Frame, Measurement, Modality
from any2seg_ros.taxonomy import CITYSCAPES

EVENT_WINDOW = 30_000_000
"""Nanoseconds of events before the last one of a recording that are used."""

_SIBLINGS = {
    "gt_semantic": "gt_labelTrainIds.png",
    "lidar": "lidar.bin",
    "event_camera": "event_camera.h5",
}


class MusesData:
    """Frames of one split: RGB, LiDAR (n, 6 float64: x y z intensity ring time) and events.

    Depth is no sensor of MUSES. Events need h5py; without it they are none of the modalities,
    which is noted. Radar is not read.
    """

    taxonomy = CITYSCAPES

    def __init__(self, root: Path, split: str) -> None:
        self.modalities: tuple[Modality, ...] = (Modality.RGB, Modality.LIDAR)
        self.notes: list[str] = []
        if _h5py():
            self.modalities += (Modality.EVENT,)
        else:
            self.notes.append("events of MUSES need h5py: pip install h5py")
        self.root = Path(root)
        pattern = f"frame_camera/{split}/*/*/*_frame_camera.png"
        self.paths = sorted(self.root.glob(pattern))
        if not self.paths:
            raise FileNotFoundError(f"no frames at {self.root}/{pattern}: give the root of MUSES")

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """`<weather>/<day or night>/<recording>`."""
        path = self.paths[index]
        return "/".join((*self.conditions(index), path.name.removesuffix("_frame_camera.png")))

    def files(self, index: int) -> Iterator[Path]:
        """See `DataSet.files`."""
        yield self.paths[index]
        for kind, ending in _SIBLINGS.items():
            yield self._path(index, kind, ending)
        yield self.root / "calib.json"

    def conditions(self, index: int) -> tuple[str, ...]:
        """Weather and time of day."""
        return self.paths[index].parts[-3:-1]

    def reference(self, index: int) -> Camera:
        """The frame camera; its images are rectified."""
        height, width = read_image(self.paths[index], cv2.IMREAD_GRAYSCALE).shape
        k = np.array(self._calibration["intrinsics"]["rgb"]["K"], np.float64).reshape(3, 3)
        return Camera(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])

    def __getitem__(self, index: int) -> Frame:
        label = read_image(self._sibling(index, "gt_semantic"), 0)
        measurements = [
            Measurement(Modality.RGB, 1, read_rgb(self.paths[index])),
            self._lidar(index),
        ]
        if Modality.EVENT in self.modalities:
            measurements.append(self._events(index))
        return Frame.of(*measurements, label=label, name=self.name(index))

    def _lidar(self, index: int) -> Measurement:
        path = self._sibling(index, "lidar")
        raw = np.fromfile(path, np.float64)
        if raw.size % 6:
            raise ValueError(f"{path} is no MUSES LiDAR file: it is not a multiple of 6 numbers")
        points = raw.reshape(-1, 6)[:, :4].astype(np.float32)
        largest = points[:, 3].max(initial=0)
        points[:, 3] /= 255 if largest > 1 else 1
        return Measurement(Modality.LIDAR, 1, points, None, self._extrinsics("lidar2rgb"))

    def _events(self, index: int) -> Measurement:
        path = self._sibling(index, "event_camera")
        with _h5py().File(path) as file:
            group = file.get("events", file)
            t = group["t"][:].astype(np.int64) * 1000
            first = np.searchsorted(t, t[-1] - EVENT_WINDOW) if len(t) else 0
            x, y, p = (group[name][first:] for name in ("x", "y", "p"))
        intrinsics = self._calibration["intrinsics"]["event_camera"]
        k = np.array(intrinsics["K"], np.float64).reshape(3, 3)
        distortion = tuple(float(v) for v in intrinsics.get("D", ()))
        camera = Camera(1280, 720, k[0, 0], k[1, 1], k[0, 2], k[1, 2], distortion)
        events = Events(
            t[first:], x.astype(np.uint16), y.astype(np.uint16), p.astype(bool), 1280, 720
        )
        stamp = int(t[-1]) if len(t) else 0
        pose = self._extrinsics("event2rgb")
        return Measurement(Modality.EVENT, stamp, events, camera, pose)

    def _path(self, index: int, kind: str, ending: str) -> Path:
        path = self.paths[index]
        recording = path.name.removesuffix("frame_camera.png")
        return self.root.joinpath(kind, *path.parts[-4:-1], recording + ending)

    def _sibling(self, index: int, kind: str) -> Path:
        found = self._path(index, kind, _SIBLINGS[kind])
        if not found.is_file():
            raise FileNotFoundError(f"{found} is missing: the data set is not complete")
        return found

    def _extrinsics(self, name: str) -> np.ndarray:
        return np.array(self._calibration["extrinsics"][name], np.float64).reshape(4, 4)

    @cached_property
    def _calibration(self) -> dict:
        path = self.root / "calib.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: the data set is not complete")
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} cannot be read ({error}): fetch it again") from None


def _h5py() -> Any:
    """The module, None where it cannot be imported."""
    try:
        import h5py
    except ImportError:
        return None
    return h5py
