"""The vocabulary every room speaks: modalities, measurements, frames and segmentations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations
from typing import Any, Protocol

import numpy as np

IGNORE = 255
"""Label id of pixels without a class."""
LONGEST_REASON = 400
"""Characters of a reason in logs and statuses."""
NOT_HEARD = "nothing heard yet"
"""The reason of a sensor of which no message has come."""


def plain(text: object, longest: int = 60) -> str:
    """Text from outside for people: one line, at most so long; what cannot be printed is a `?`."""
    given = str(text)
    shown = "".join(c if c.isprintable() else "?" for c in given[:longest])
    return f"{shown}..." if len(given) > longest else shown


class InvalidMeasurement(Exception):
    """A measurement that arrived but cannot be used; the text is the reason shown to people."""

    def __init__(self, reason: object = "") -> None:
        super().__init__(plain(reason, LONGEST_REASON))


def unmeasured(reason: str) -> str:
    """A reason without the figures at its end: what is counted, so that few are."""
    return re.sub(r"(:| by) \d.*$", "", reason)


class Modality(IntEnum):
    """A kind of sensor. Closed and ordered: tables, tensors and file names follow this order."""

    RGB = 0
    DEPTH = 1
    LIDAR = 2
    EVENT = 3

    @property
    def label(self) -> str:
        """The lower-case name used in topics, parameters, files and reports."""
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Modality:
        """The modality called `text`; ValueError names the words that are known."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            known = ", ".join(modality.label for modality in cls)
            raise ValueError(f"unknown modality '{text}': use one of {known}") from None


Subset = tuple[Modality, ...]
"""The modalities that a prediction used, in vocabulary order."""


def all_subsets(modalities: Iterable[Modality] = tuple(Modality)) -> list[Subset]:
    """Every non-empty subset, small ones first, each in vocabulary order."""
    ordered = sorted(set(modalities))
    return [s for size in range(1, len(ordered) + 1) for s in combinations(ordered, size)]


def subset_name(subset: Iterable[Modality]) -> str:
    """`rgb+lidar` for {LIDAR, RGB}; `none` for the empty set."""
    return "+".join(modality.label for modality in sorted(subset)) or "none"


def largest(names: Iterable[str]) -> str:
    """Of the names of some subsets that with most modalities."""
    return max(names, key=lambda name: name.count("+"))


def parse_subset(text: str) -> Subset:
    """The subset called `rgb+lidar`, in vocabulary order."""
    return tuple(sorted({Modality.parse(word) for word in text.split("+")}))


class Availability(IntEnum):
    """What a frame has of one modality."""

    OK = 0
    HELD = 1
    """An older measurement, within its age limit."""
    MISSING = 2
    INVALID = 3
    """A measurement arrived and cannot be used."""
    DISABLED = 4

    @property
    def usable(self) -> bool:
        """Whether the frame has a measurement of the modality."""
        return self <= Availability.HELD


@dataclass(frozen=True)
class Camera:
    """Geometry of an image: size in pixels, intrinsics in pixels, distortion as in CameraInfo.

    `model` is one of sensor_msgs' distortion models: plumb_bob (0, 4 or 5 coefficients),
    rational_polynomial (8) or equidistant (4). Hashable, so that maps made from it can be cached.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    model: str = "plumb_bob"

    @property
    def matrix(self) -> np.ndarray:
        """K, float64 (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def resized(self, width: int, height: int) -> Camera:
        """The same view on another raster; pixel centres are at integer coordinates."""
        sx, sy = width / self.width, height / self.height
        return Camera(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
            self.distortion,
            self.model,
        )


@dataclass(frozen=True, eq=False)
class Events:
    """Events of one sensor in order of time: t int64 (n,) ns, x and y uint16 (n,), p bool (n,)."""

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.t)


IDENTITY = np.eye(4)
IDENTITY.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Measurement:
    """One sensor's data at one time, and what is needed to place it.

    data, by modality:
      rgb    uint8 (h, w, 3) in the order R, G, B, or uint8 (h, w)
      depth  float32 (h, w) in metres or uint16 (h, w) in millimetres; 0, NaN and inf are holes
      lidar  float32 (n, 4): x, y, z in metres in the sensor's frame, intensity in 0..1
      event  Events
      any but rgb: uint8 (h, w, 3), an image made for networks elsewhere (HHA, event frames, ...)

    camera: geometry of data that is a raster or has pixel coordinates; None says that it is
    aligned with the reference camera. reference_from_sensor: float64 (4, 4), maps points of the
    sensor's (optical, for cameras) frame to the reference camera's optical frame. moved: the
    vehicle's motion is part of it, so that it is another one each time. times: of a lidar, float32
    (n,), s after the stamp at which each point was measured; None where nobody wants to know.
    """

    modality: Modality
    stamp: int
    data: np.ndarray | Events
    camera: Camera | None = None
    reference_from_sensor: np.ndarray = field(default_factory=lambda: IDENTITY)
    moved: bool = False
    times: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """The geometry of all sensors at one time: it is never changed, only replaced by another.

    reference: the camera whose view masks have, None while it is unknown; reference_frame: its TF
    frame. cameras and poses, by sensor: see `Measurement`. image_sizes: (width, height) px that the
    last message of a sensor with pixels had.
    """

    reference: Camera | None = None
    reference_frame: str = ""
    cameras: Mapping[Modality, Camera] = field(default_factory=dict)
    poses: Mapping[Modality, np.ndarray] = field(default_factory=dict)
    image_sizes: Mapping[Modality, tuple[int, int]] = field(default_factory=dict)

    def camera_of(self, modality: Modality) -> Camera | None:
        """The sensor's own camera; RGB without one of its own is the reference camera."""
        fallback = self.reference if modality == Modality.RGB else None
        return self.cameras.get(modality, fallback)

    def pose_of(self, modality: Modality) -> np.ndarray:
        """float64 (4, 4): the sensor's frame to the reference camera's; identity if unknown."""
        return self.poses.get(modality, IDENTITY)


UNCALIBRATED = Calibration()


class Trajectory(Protocol):
    """The way of the reference camera around a Frame's time; it never changes."""

    def poses(self, stamps: np.ndarray) -> np.ndarray:
        """float64 (k, 4, 4): the reference camera's frame at int64 (k,) ns to a fixed frame.

        LookupError says why they are not known.
        """


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """The measurements that belong to one reference stamp (ns).

    `measurements` has exactly the modalities whose availability is usable. Between the
    synchronizer and decoding they are messages, afterwards `Measurement`s. Every modality has an
    `availability`; `reasons` says why one is not OK. `label` uint8 (H, W) is the ground truth in
    the reference camera's geometry, where there is one; `name` identifies a frame of a data set.
    `calibration` is the geometry when the frame left the synchronizer: all that is made of it is
    made with that one. `trajectory` is there where measurements are to be moved to the stamp.
    """

    stamp: int
    measurements: Mapping[Modality, Any]
    availability: Mapping[Modality, Availability]
    reasons: Mapping[Modality, str] = field(default_factory=dict)
    anchor: Modality | None = None
    label: np.ndarray | None = None
    name: str = ""
    calibration: Calibration = UNCALIBRATED
    trajectory: Trajectory | None = None

    @property
    def subset(self) -> Subset:
        """The modalities that have a measurement, in vocabulary order."""
        return tuple(sorted(self.measurements))

    @classmethod
    def of(cls, *measurements: Measurement, stamp: int | None = None, **rest: Any) -> Frame:
        """A frame of measurements that are all OK; every other modality is MISSING."""
        by_modality = {m.modality: m for m in measurements}
        availability = {
            m: Availability.OK if m in by_modality else Availability.MISSING for m in Modality
        }
        if stamp is None:
            stamp = measurements[0].stamp
        return cls(stamp, by_modality, availability, **rest)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What the network saw: labels uint8 (H, W), confidence float32 (H, W) in 0..1.

    `weights` says how much MFF gave each modality, 0 for what the gate left out; their sum is 1.
    """

    labels: np.ndarray
    confidence: np.ndarray
    weights: Mapping[Modality, float]

    @property
    def subset(self) -> Subset:
        """The modalities that were used, in vocabulary order."""
        return tuple(sorted(m for m, weight in self.weights.items() if weight > 0))
