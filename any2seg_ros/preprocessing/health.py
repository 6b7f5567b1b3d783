"""Whether a measurement that arrived can be trusted: what a sensor's failures look like.

Absence is not looked at here: that is the synchronizer's. Events that stay away are no fault: a
sensor that looks at a still scene is silent.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from any2seg_ros.configuration import setting
from any2seg_ros.types import Events, InvalidMeasurement, Measurement, Modality

_BURST_S = 0.05
"""Events that come within so many seconds are counted as if they had taken them: a light that is
switched on is no storm."""

_SAMPLES = 48
"""Lines and columns of an image that are looked at."""

_NO_RANGE = 10_000.0
"""m that no vehicle's LiDAR reaches: points beyond it are no measurements."""

_MOSTLY = 0.5
"""Share of a measurement from which on what is wrong with it is wrong with all of it."""

_ENOUGH_PAIRS = 100
"""Pairs of neighbours with a depth, to tell noise: a sparse depth has few."""

_USUAL_AFTER = 10
"""Measurements after which it is known what is usual."""

_DRIFT_WINDOW = 20
"""Measurements over which the smallest delay is taken."""

_RGB = (Modality.RGB,)
_CONTENT = (Modality.RGB, Modality.DEPTH, Modality.LIDAR)

_VIEW = (128, 72)
"""Width and height to which an image is averaged: what a network sees of it, roughly."""


def _limit(
    default: float,
    text: str,
    high: float,
    only: tuple[Modality, ...] = tuple(Modality),
    unit: str = "",
) -> Any:
    text = f"{text}; 0 disables the check"
    return setting(default, text, unit, low=0, high=high, live=True, only=only)


def _level(default: float, text: str) -> Any:
    return setting(default, text, low=0, high=255, live=True, only=_RGB)


@dataclass(frozen=True)
class HealthConfig:
    """Limits of one sensor's health checks; 0 disables a check."""

    frozen_after: int = _limit(
        10, "identical measurements in a row that are accepted", 10000, _CONTENT
    )
    black_level: float = _level(6.0, "grey level (0..255) up to which a pixel is black")
    black_fraction: float = _limit(
        0.995, "fraction of black pixels at which an image is rejected", 1, _RGB
    )
    saturated_level: float = _level(250.0, "grey level (0..255) from which a pixel is saturated")
    saturated_fraction: float = _limit(
        0.9, "fraction of saturated pixels at which an image is rejected", 1, _RGB
    )
    minimum_correlation: float = _limit(
        0.12,
        "min correlation of neighbouring pixels, the image averaged to a width of 128; less is "
        "noise",
        1,
        _RGB,
    )
    minimum_detail_fraction: float = _limit(
        0.15,
        "min detail (difference of those neighbours, relative to the contrast) as a fraction of "
        "the usual; less is a lens under ice or mist",
        1,
        _RGB,
    )
    minimum_depth_fraction: float = _limit(
        0.01, "min fraction of pixels with a depth", 1, (Modality.DEPTH,)
    )
    maximum_noise: float = _limit(
        0.2,
        "max difference of neighbouring depths, relative, median over the image; more is noise",
        100,
        (Modality.DEPTH,),
    )
    minimum_points_fraction: float = _limit(
        0.2, "min number of points as a fraction of the usual", 1, (Modality.LIDAR,)
    )
    storm_rate: float = _limit(
        60.0, "event rate above which it is a storm", 1e6, (Modality.EVENT,), "events/s/px"
    )
    future: float = _limit(0.2, "max time that a stamp may be in the future", 3600, unit="s")
    drift: float = _limit(
        1.0,
        "max change of the delay between stamp and arrival since start-up; a delay below this "
        "means clocks in sync and is always accepted",
        3600,
        unit="s",
    )


class Health:
    """Judges one sensor's measurements, in the order in which they come."""

    def __init__(self, modality: Modality, config: HealthConfig = HealthConfig()) -> None:
        self._modality = modality
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget what was usual, as after a jump of time."""
        self._stamp: int | None = None
        self._checksum: int | None = None
        self._repeats = 0
        self._usual = _Usual()
        self._delays: deque[int] = deque(maxlen=_DRIFT_WINDOW)
        self._first_delay: int | None = None

    def check(self, measurement: Measurement, now: int | None = None) -> None:
        """InvalidMeasurement, with the reason, if the measurement shows a fault.

        `now` is the present in ns of the clock that made the stamps; None leaves out the checks
        of time. A measurement that is shown again (same stamp) is not counted twice.
        """
        new = measurement.stamp != self._stamp
        self._stamp = measurement.stamp
        self._check_stamp(measurement.stamp, now, new)
        data = measurement.data
        if isinstance(data, Events):
            self._check_storm(data)
        elif not isinstance(data, np.ndarray) or data.ndim < 2 or data.size == 0:
            raise InvalidMeasurement("measurement has no content")
        elif data.dtype.kind not in "uif":
            raise InvalidMeasurement("measurement is not made of numbers")
        elif self._modality == Modality.LIDAR and data.ndim == 2 and data.dtype != np.uint8:
            sample = data[:: max(1, len(data) // 512)]
            self._check_distances(sample)
            self._check_points(len(data), new)
            self._check_frozen(sample, new)
        elif data.dtype == np.uint8:
            sample = _sample(data)
            if self._modality == Modality.RGB:
                self._check_exposure(sample)
                self._check_scene(_view(data), new)
            if self._modality != Modality.EVENT:
                self._check_frozen(sample, new)
        else:
            sample = _sample(data)
            self._check_holes(sample)
            self._check_frozen(sample, new)
            self._check_depth_noise(data)

    def _check_stamp(self, stamp: int, now: int | None, new: bool) -> None:
        config = self._config
        if stamp <= 0:
            raise InvalidMeasurement("stamp is zero")
        if now is None:
            return
        delay = now - stamp
        if config.future and delay < -config.future * 1e9:
            raise InvalidMeasurement(f"stamp is in the future by {-delay * 1e-9:.2f} s")
        if not config.drift:
            return
        if new:
            self._delays.append(delay)
        if len(self._delays) < _DRIFT_WINDOW:
            return
        smallest = min(self._delays)
        if self._first_delay is None or abs(smallest) <= config.drift * 1e9:
            self._first_delay = smallest  # stamps that agree with the host's clock are right
        drift = (smallest - self._first_delay) * 1e-9
        if abs(drift) > config.drift:
            raise InvalidMeasurement(f"clock has drifted against the host's by {drift:.2f} s")

    def _check_frozen(self, sample: np.ndarray, new: bool) -> None:
        if not self._config.frozen_after:
            return
        if new:
            checksum = zlib.crc32(np.ascontiguousarray(sample).data)
            self._repeats = self._repeats + 1 if checksum == self._checksum else 0
            self._checksum = checksum
        if self._repeats >= self._config.frozen_after:
            raise InvalidMeasurement("content is frozen")

    def _check_exposure(self, sample: np.ndarray) -> None:
        config = self._config
        pixels = sample.reshape(sample.shape[0] * sample.shape[1], -1)
        black = np.mean(pixels.max(1) <= config.black_level)
        if config.black_fraction and black >= config.black_fraction:
            raise InvalidMeasurement("image is black")
        saturated = np.mean(pixels.min(1) >= config.saturated_level)
        if config.saturated_fraction and saturated >= config.saturated_fraction:
            raise InvalidMeasurement("image is saturated")

    def _check_holes(self, sample: np.ndarray) -> None:
        highest = _highest(sample)
        share = float(np.mean((sample > 0) & (sample < highest)))
        if share and share >= self._config.minimum_depth_fraction:
            return
        if highest < np.inf and np.mean(sample == highest) > _MOSTLY:
            raise InvalidMeasurement("depth is saturated")
        if share == 0.0:
            raise InvalidMeasurement("depth has no valid pixels")
        raise InvalidMeasurement(f"depth has too few valid pixels: {100 * share:.1f} %")

    def _check_depth_noise(self, depth: np.ndarray) -> None:
        """Depths of two neighbours are alike but at edges, in whatever unit."""
        limit = self._config.maximum_noise
        if not limit:
            return
        step = max(1, depth.shape[0] // _SAMPLES)
        lines = depth[step // 2 :: step].astype(np.float32)
        left, right = lines[:, :-1], lines[:, 1:]
        highest = _highest(depth)
        pairs = (left > 0) & (right > 0) & (left < highest) & (right < highest)
        left, right = left[pairs], right[pairs]
        if len(left) < _ENOUGH_PAIRS:
            return
        with np.errstate(over="ignore"):  # beside almost nothing everything is infinitely more
            noise = float(np.median(np.abs(left - right) / np.minimum(left, right)))
        if noise > limit:
            raise InvalidMeasurement(f"depth is noise: its neighbours differ by {noise:.2f}")

    def _check_scene(self, view: np.ndarray, new: bool) -> None:
        config = self._config
        if not (config.minimum_correlation or config.minimum_detail_fraction):
            return
        contrast = float(view.std())
        if not contrast:
            raise InvalidMeasurement("image is of one colour")
        left, right = view[:, :-1], view[:, 1:]
        if config.minimum_correlation:
            spread = float(left.std() * right.std())
            alike = float(((left - left.mean()) * (right - right.mean())).mean()) / (spread or 1.0)
            if alike < config.minimum_correlation:
                raise InvalidMeasurement(f"image is noise: its neighbours correlate by {alike:.2f}")
        if config.minimum_detail_fraction:
            detail = float(np.abs(right - left).mean()) / contrast
            usual = self._usual.after(detail, new)
            if self._usual.count < _USUAL_AFTER:
                return
            if detail < config.minimum_detail_fraction * usual:
                raise InvalidMeasurement(
                    f"image has a fraction of its usual detail: {detail:.3f} of {usual:.3f}"
                )

    def _check_distances(self, points: np.ndarray) -> None:
        far = float(np.mean(np.abs(points[:, :3]).max(1) > _NO_RANGE))
        if far > _MOSTLY:
            raise InvalidMeasurement(
                f"points are no measurements: {100 * far:.0f} % are more than 10 km away"
            )

    def _check_points(self, count: int, new: bool) -> None:
        config = self._config
        if not config.minimum_points_fraction:
            return
        usual = self._usual.after(count, new)
        if self._usual.count < _USUAL_AFTER:
            return
        if count < config.minimum_points_fraction * usual:
            raise InvalidMeasurement(
                f"cloud has a fraction of its usual points: {count} of {usual:.0f}"
            )

    def _check_storm(self, events: Events) -> None:
        config = self._config
        if not config.storm_rate or len(events) < 1000:
            return
        seconds = max(_BURST_S, float(events.t[-1] - events.t[0]) * 1e-9)
        rate = len(events) / seconds
        if rate > config.storm_rate * events.width * events.height:
            raise InvalidMeasurement(f"event storm: {rate * 1e-6:.1f} million events/s")


def _highest(depth: np.ndarray) -> float:
    """What all depths are below: whole numbers end where nothing was measured."""
    return np.inf if depth.dtype.kind == "f" else float(np.iinfo(depth.dtype).max)


def _sample(image: np.ndarray) -> np.ndarray:
    lines, columns = max(1, image.shape[0] // _SAMPLES), max(1, image.shape[1] // _SAMPLES)
    return image[lines // 2 :: lines, columns // 2 :: columns]


def _view(image: np.ndarray) -> np.ndarray:
    """An image uint8 (H, W) or (H, W, C) in grey, averaged to float32 of `_VIEW` at most."""
    height, width = image.shape[:2]
    size = min(_VIEW[0], width), min(_VIEW[1], height)
    # Four lines or more of those that become one are enough to average out noise.
    lines = np.ascontiguousarray(image[:: max(1, height // (4 * size[1]))])
    small = cv2.resize(lines, size, interpolation=cv2.INTER_AREA)
    return small.reshape(size[1], size[0], -1).mean(2, dtype=np.float32)


class _Usual:
    """A running mean, so slow that a fault has to last a minute before it is what is usual."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0

    def after(self, value: float, new: bool) -> float:
        """The mean, with a value that is taken in if it is `new`."""
        if new:
            self.count += 1
            self._mean += (value - self._mean) / min(self.count, 500)
        return self._mean
