"""Data sets in DELIVER's folders: DELIVER itself, and Streets with its raw measurements."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.datasets.files import (
    other_splits,
    read_array,
    read_image,
    read_json,
    read_label,
    read_rgb,
)
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.messages.sizes import check_area
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import (
    IGNORE,
    Camera,
    Events,
    Frame,
    InvalidMeasurement,
    Measurement,
    Modality,
    Subset,
)

CONDITIONS = ("cloud", "fog", "night", "rain", "sun")
CASES = ("motionblur", "overexposure", "underexposure", "lidarjitter", "eventlowres")
_FOLDERS = {  # the published models read depth from hha/
    Modality.RGB: ("img", "rgb"),
    Modality.DEPTH: ("hha", "depth"),
    Modality.LIDAR: ("lidar", "lidar"),
    Modality.EVENT: ("event", "event"),
}
RENDERED, PUBLISHED = (1042, 1042), (1024, 1024)
"""DELIVER's images, and the raster on which the published figures are: images are resized to it
bilinearly, labels to the nearest, and predictions are counted there."""
_RAW = {"depth": ".png", "lidar": ".npy", "event": ".npz"}


class DeliverData:
    """Frames of one split. Where a scene has raw measurements, they are what is loaded.

    Without them (DELIVER as published) measurements are the ready images, aligned with the RGB
    camera, whose intrinsics are then unknown and stated as those of a 90 degree camera. Frames of
    1042 x 1042 become the 1024 x 1024 of the published figures.
    """

    taxonomy = DELIVER
    groups = ClassGroups.of_classes(DELIVER)

    def __init__(self, root: Path, split: str, wanted: Subset = ()) -> None:
        self.modalities: tuple[Modality, ...] = wanted or tuple(Modality)
        self.notes: list[str] = []
        self.root = Path(root)
        self.split = split
        self.frames = sorted(self._find())
        if not self.frames:
            hint = other_splits(self.root, "img/*/*") or (
                "give the root of a data set in DELIVER's folders (any2seg simulate makes one)"
            )
            raise FileNotFoundError(
                f"no frames at {self.root}/img/<condition>/{split}/<scene>/*_rgb_front.png: {hint}"
            )

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, index: int) -> str:
        """`<condition>/<scene>/<frame>`."""
        return "/".join(self.frames[index])

    def files(self, index: int) -> Iterator[Path]:
        """See `DataSet.files`."""
        condition, scene, frame = self.frames[index]
        for kind, word in (*_FOLDERS.values(), ("semantic", "semantic")):
            yield self._path(kind, word, condition, scene, frame)
        yield self._calibration_file(condition, scene)
        yield from self._raw_files(condition, scene, frame).values()

    def conditions(self, index: int) -> tuple[str, ...]:
        """The weather and, if the scene is one, the failure case."""
        condition, scene, _ = self.frames[index]
        return (condition, *(case for case in CASES if case in scene))

    def reference(self, index: int) -> Camera:
        """The camera that the label and the masks belong to."""
        condition, scene, _ = self.frames[index]
        sensors = self._sensors(condition, scene)
        if sensors:
            return _camera(sensors["rgb"]["camera"])
        height, width = self._label(index).shape
        return Camera(width, height, width / 2, width / 2, (width - 1) / 2, (height - 1) / 2)

    def __getitem__(self, index: int) -> Frame:
        condition, scene, frame = self.frames[index]
        label = self._label(index)
        sensors = self._sensors(condition, scene)
        if sensors:
            measurements = self._raw(condition, scene, frame, sensors)
        else:
            measurements = self._ready(condition, scene, frame, label.shape)
        return Frame.of(*measurements, label=label, name=self.name(index))

    @property
    def _read(self) -> Subset:
        """The sensors that are read: the wanted ones, and the camera's pictures for people."""
        return tuple(sorted({Modality.RGB, *self.modalities}))

    def _find(self) -> Iterator[tuple[str, str, str]]:
        for condition in CONDITIONS:
            for path in (self.root / "img" / condition / self.split).glob("*/*_rgb_front.png"):
                yield condition, path.parent.name, path.name.removesuffix("_rgb_front.png")

    def _path(self, kind: str, word: str, condition: str, scene: str, frame: str) -> Path:
        folder = self.root / kind / condition / self.split / scene
        return folder / f"{frame}_{word}_front.png"

    def _label(self, index: int) -> np.ndarray:
        path = self._path("semantic", "semantic", *self.frames[index])
        raw = read_label(path, cv2.IMREAD_UNCHANGED)
        # DELIVER's first channel, red, is OpenCV's third, whether alpha follows or not.
        label = decode_label(raw if raw.ndim == 2 else raw[..., 2])
        return published(label, cv2.INTER_NEAREST)

    def _ready(
        self, condition: str, scene: str, frame: str, shape: tuple[int, ...]
    ) -> Iterator[Measurement]:
        for modality in self._read:
            kind, word = _FOLDERS[modality]
            image = read_rgb(self._path(kind, word, condition, scene, frame))
            native = RENDERED if shape == PUBLISHED else shape
            if image.shape[:2] not in (native, shape):  # events of a sensor of low resolution
                image = cv2.resize(image, native[::-1], interpolation=cv2.INTER_NEAREST)
            yield Measurement(modality, 1, published(image, cv2.INTER_LINEAR))

    def _raw(self, condition: str, scene: str, frame: str, sensors: dict) -> Iterator[Measurement]:
        try:
            for modality in self._read:
                sensor = sensors[modality.label]
                camera = _camera(sensor["camera"]) if sensor["camera"] else None
                yield Measurement(
                    modality,
                    sensors["stamps"][frame],
                    self._raw_data(modality, condition, scene, frame, camera),
                    camera,
                    np.array(sensor["reference_from_sensor"], np.float64),
                )
        except KeyError as error:
            folder = self._calibration_file(condition, scene).parent
            raise ValueError(
                f"{folder} has no {error} for frame {frame}: make the data set again"
            ) from None

    def _raw_data(
        self, modality: Modality, condition: str, scene: str, frame: str, camera: Camera | None
    ) -> np.ndarray | Events:
        if modality == Modality.RGB:
            return read_rgb(self._path("img", "rgb", condition, scene, frame))
        file = self._raw_files(condition, scene, frame)[modality.label]
        if modality == Modality.DEPTH:
            return read_image(file, cv2.IMREAD_UNCHANGED)
        raw = read_array(file)
        if modality == Modality.LIDAR:
            return raw
        assert camera is not None
        return Events(raw["t"], raw["x"], raw["y"], raw["p"], camera.width, camera.height)

    def _raw_files(self, condition: str, scene: str, frame: str) -> dict[str, Path]:
        folder = self._calibration_file(condition, scene).parent
        return {word: folder / f"{frame}_{word}_front{ending}" for word, ending in _RAW.items()}

    def _calibration_file(self, condition: str, scene: str) -> Path:
        return self.root / "raw" / condition / self.split / scene / "calibration.json"

    def _sensors(self, condition: str, scene: str) -> dict | None:
        path = self._calibration_file(condition, scene)
        return _calibration(path) if path.is_file() else None


def published(image: np.ndarray, interpolation: int) -> np.ndarray:
    """An image of DELIVER (1042, 1042[, 3]) on the published raster; any other as it is."""
    if image.shape[:2] != RENDERED:
        return image
    return cv2.resize(image, PUBLISHED[::-1], interpolation=interpolation)


def decode_label(raw: np.ndarray) -> np.ndarray:
    """DELIVER's raw ids uint8: 1..25 are the classes 0..24, everything else is ignored."""
    lookup = np.full(256, IGNORE, np.uint8)
    lookup[1 : len(DELIVER) + 1] = np.arange(len(DELIVER))
    return lookup[raw]


@lru_cache(maxsize=1024)
def _calibration(path: Path) -> dict:
    content = read_json(path)
    try:
        return {"stamps": content["stamps"], **content["sensors"]}
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read ({error}): make the data set again") from None


def _camera(fields: dict) -> Camera:
    camera = Camera(**{**fields, "distortion": tuple(fields.get("distortion", ()))})
    try:
        check_area("a camera of the calibration", camera.width, camera.height)
    except InvalidMeasurement as reason:
        raise ValueError(f"{reason}: make the data set again") from None
    return camera
