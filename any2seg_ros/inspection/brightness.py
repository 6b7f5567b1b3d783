"""By how much an event camera's stamps are late against a camera's.

Between two images every pixel has as many events as its brightness changed: the time in which
they did is where both agree best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from any2seg_ros.inspection.offsets import LAGS, STEP, TimeOffset, best_lag, judged
from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera, Events, Modality

WIDTH = 128
"""px of the raster on which both are compared."""
_STEP = round(STEP * 1e9)
_REACH = len(LAGS) // 2
_DARKEST = 8.0
_CHANGE, _COUNT = 0.5, 6.0
"""Changes of log brightness and counts of events that are believed at most."""
_HEIGHT, _AWAY = 1.5, 15.0
"""m: of the camera above a plain road, and to whatever stands beside it. Two cameras see near
things at other pixels, which looks like an offset as long as the vehicle drives on."""
_AROUND = 6
_DOUBT = 0.25
"""Part of what the parallax changes that is not known."""


@dataclass(frozen=True, eq=False)
class _Counts:
    """Events of one sign less those of the other: float32 (steps, pixels), summed over time."""

    total: np.ndarray
    first: int

    def between(self, begin: int, end: int) -> np.ndarray:
        """Of an interval in ns, at all lags: float32 (pixels, lags)."""
        a, b = (round((time - self.first) / _STEP) for time in (begin, end))
        last = len(self.total) - 1
        lags = np.arange(-_REACH, _REACH + 1)
        found = self.total[(b + lags).clip(0, last)] - self.total[(a + lags).clip(0, last)]
        return np.clip(found, -_COUNT, _COUNT).T


class EventCounter:
    """Counts the events around the times of some images on a coarse raster."""

    def __init__(self, camera: Camera, stamps: Sequence[int]) -> None:
        self._shrink = max(1, round(max(camera.width, camera.height) / WIDTH))
        size = (max(1, side // self._shrink) for side in (camera.width, camera.height))
        self.raster = camera.resized(*size)
        self._first = stamps[0] - (_REACH + 1) * _STEP
        steps = (stamps[-1] - self._first) // _STEP + _REACH + 3
        self._counts = np.zeros((steps, self.raster.width * self.raster.height), np.float32)

    @property
    def end(self) -> int:
        """ns: later events are not needed."""
        return self._first + len(self._counts) * _STEP

    def add(self, events: Events) -> None:
        """Count them; those of another time are left out."""
        step = (events.t - self._first) // _STEP
        inside = (step >= 0) & (step < len(self._counts))
        x = (events.x[inside] // self._shrink).clip(0, self.raster.width - 1).astype(np.int64)
        y = (events.y[inside] // self._shrink).clip(0, self.raster.height - 1).astype(np.int64)
        pixel = y * self.raster.width + x
        sign = np.where(events.p[inside], np.float32(1), np.float32(-1))
        np.add.at(self._counts, (step[inside], pixel), sign)

    def counts(self) -> _Counts:
        """What was counted, summed over time; the counter is used up."""
        before = np.zeros((1, self._counts.shape[1]), np.float32)
        return _Counts(
            np.vstack([before, np.cumsum(self._counts, 0, out=self._counts)]), self._first
        )


def shrunk(image: np.ndarray, camera: Camera, raster: Camera) -> tuple[np.ndarray, Camera]:
    """The log brightness float32 of an image at about the raster's resolution, and its camera."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    factor = min(1.0, raster.fx / camera.fx)
    view = camera.resized(round(camera.width * factor), round(camera.height * factor))
    grey = cv2.resize(
        np.ascontiguousarray(grey), (view.width, view.height), interpolation=cv2.INTER_AREA
    )
    return np.log(grey.astype(np.float32) + _DARKEST), view


def event_offset(
    images: Sequence[np.ndarray],
    stamps: Sequence[int],
    view: Camera,
    counter: EventCounter,
    reference_from_event: np.ndarray,
) -> TimeOffset:
    """By how much the events are late. images: of `shrunk`, at stamps in ns, seen by `view`."""
    counts, raster = counter.counts(), counter.raster
    if not counts.total[-1].any():
        return TimeOffset(Modality.EVENT, Modality.RGB, unknown="no events beside the images")
    found = [
        best_lag(_sums(images, stamps, counts, _maps(raster, view, pose)), _score, _AROUND)
        for pose in (reference_from_event, _turned_only(reference_from_event))
    ]
    late, sigma, agreement = found[0]
    doubt = _DOUBT * abs(late - found[1][0])
    return judged(Modality.EVENT, Modality.RGB, late, float(np.hypot(sigma, doubt)), agreement)


def _turned_only(pose: np.ndarray) -> np.ndarray:
    far = pose.copy()
    far[:3, 3] = 0.0
    return far


def _maps(raster: Camera, view: Camera, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the camera sees what each event pixel sees: float32 (h, w) each; -9 if nowhere."""
    a, b = camera_models.rays(raster).reshape(2, -1)
    ray = pose[:3, :3] @ np.stack([a, b, np.ones_like(a)])
    with np.errstate(invalid="ignore", divide="ignore"):
        ray = ray / ray[2]
        nearness = np.maximum(ray[1], 0) / _HEIGHT + 1 / _AWAY
        x, y, z = (ray + pose[:3, 3:] * nearness).astype(np.float32)
    index, _ = camera_models.project(x, y, z, view)
    maps = np.full((2, a.size), -9.0, np.float32)
    maps[:, index] = camera_models.pixels(x[index] / z[index], y[index] / z[index], view)
    u, v = maps.reshape(2, raster.height, raster.width)
    return u, v


def _sums(
    images: Sequence[np.ndarray],
    stamps: Sequence[int],
    counts: _Counts,
    maps: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """What correlations over pixels are made of, by pair of images: float64 (n, 3, lags)."""
    u, v = maps
    seen = (u > -1).astype(np.float32)
    sums = np.zeros((len(images) - 1, 3, len(LAGS)))
    for number in range(len(sums)):
        change = images[number + 1] - images[number]
        change = np.clip(change - np.median(change), -_CHANGE, _CHANGE)
        change = cv2.remap(cv2.GaussianBlur(change, (0, 0), 1), u, v, cv2.INTER_LINEAR) * seen
        events = counts.between(stamps[number], stamps[number + 1])
        for lag in range(len(LAGS)):
            one = np.ascontiguousarray(events[:, lag]).reshape(u.shape)
            one = cv2.GaussianBlur(one, (0, 0), 1) * seen
            sums[number, :, lag] = (
                np.vdot(change, one), np.vdot(one, one), np.vdot(change, change)
            )  # fmt: skip
    return sums


def _score(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    agreement = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-12))
    return agreement, agreement
