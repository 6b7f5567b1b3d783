"""An event camera: events where the logarithm of the light changed by a threshold."""

from __future__ import annotations

import numpy as np

from any2seg_ros.simulation.settings import EventSettings
from any2seg_ros.types import Events


class EventSensor:
    """Turns renders at rising times into events, after the log-intensity threshold model.

    Between two renders the logarithm is taken to change linearly. A pixel remembers the level of
    its last event; crossing it by the pixel's own threshold makes the next one. `pattern` seeds
    what belongs to the sensor (thresholds), `chance` its noise.
    """

    def __init__(
        self,
        size: tuple[int, int],
        settings: EventSettings,
        pattern: np.random.SeedSequence,
        chance: np.random.SeedSequence,
        noise_rate: float | None = None,
    ) -> None:
        self.width, self.height = size
        self.settings = settings
        self.noise_rate = settings.noise_rate if noise_rate is None else noise_rate
        self._rng = np.random.default_rng(chance)
        count = self.width * self.height
        draw = np.random.default_rng(pattern).standard_normal((2, count))
        thresholds = settings.threshold + settings.threshold_spread * draw
        self.thresholds = np.maximum(thresholds, settings.threshold / 2).astype(np.float32)
        """Positive and negative thresholds, float32 (2, h * w)."""
        self._level: np.ndarray | None = None
        self._light = np.zeros(count, np.float32)
        self._last = np.full(count, -(10**15), np.int64)
        self._time = 0

    def start(self, stamp: int, intensity: np.ndarray) -> None:
        """The first render, float32 (h, w), linear; every pixel is somewhere between two events."""
        self._light = _logarithm(intensity)
        phase = self._rng.uniform(-0.9, 0.9, self._light.size).astype(np.float32)
        self._level = self._light + phase * self.thresholds.min(0)
        self._time = stamp

    def advance(self, stamp: int, intensity: np.ndarray) -> Events:
        """The events since the last render, of a new one at `stamp` (ns)."""
        if self._level is None:
            raise ValueError("an event sensor needs a first render: call start")
        light = _logarithm(intensity)
        pixel, when, positive = self._crossings(light, stamp)
        pixel, when, positive = self._rested(pixel, when, positive)
        noise_pixel, noise_when = self._noise(stamp)
        pixel = np.concatenate([pixel, noise_pixel])
        when = np.concatenate([when, noise_when])
        positive = np.concatenate([positive, self._rng.random(len(noise_pixel)) < 0.6])
        order = np.lexsort((pixel, when))
        pixel, when, positive = pixel[order], when[order], positive[order]
        self._light, self._time = light, stamp
        y, x = np.divmod(pixel, self.width)
        return Events(
            when, x.astype(np.uint16), y.astype(np.uint16), positive, self.width, self.height
        )

    def _crossings(
        self, light: np.ndarray, stamp: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        assert self._level is not None
        change = light - self._level
        threshold = np.where(change > 0, self.thresholds[0], self.thresholds[1])
        count = np.floor(np.abs(change) / threshold).astype(np.int32)
        at = np.flatnonzero(count)
        times = count[at]
        sign = np.sign(change[at]).astype(np.float32)
        pixel = np.repeat(at, times)
        first = np.repeat(np.cumsum(times) - times, times)
        number = (np.arange(len(pixel)) - first + 1).astype(np.float32)
        level = np.repeat(self._level[at], times) + np.repeat(sign * threshold[at], times) * number
        slope = light[pixel] - self._light[pixel]
        safe = np.where(np.abs(slope) < 1e-6, np.float32(1.0), slope)
        share = np.clip((level - self._light[pixel]) / safe, 0.0, 1.0)
        when = (
            self._time + 1 + (share.astype(np.float64) * (stamp - self._time - 1)).astype(np.int64)
        )
        self._level[at] += sign * threshold[at] * times
        return pixel, when, np.repeat(sign > 0, times)

    def _rested(
        self, pixel: np.ndarray, when: np.ndarray, positive: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Without events in the refractory time of their pixel."""
        rest = round(self.settings.refractory * 1e9)
        if rest <= 0 or not len(pixel):
            return pixel, when, positive
        # Events of one pixel stand together, in order of time.
        new = np.ones(len(pixel), bool)
        new[1:] = pixel[1:] != pixel[:-1]
        before = np.where(new, self._last[pixel], np.concatenate([[0], when[:-1]]))
        keep = when - before >= rest
        pixel, when, positive = pixel[keep], when[keep], positive[keep]
        self._last[pixel] = when
        return pixel, when, positive

    def _noise(self, stamp: int) -> tuple[np.ndarray, np.ndarray]:
        seconds = (stamp - self._time) * 1e-9
        count = self._rng.poisson(self.noise_rate * seconds * self._light.size)
        pixel = self._rng.integers(0, self._light.size, count)
        return pixel, self._rng.integers(self._time + 1, stamp + 1, count)


def _logarithm(intensity: np.ndarray) -> np.ndarray:
    """Log of linear light, float32 (h * w,); darkness has a floor, as the sensor's leak does."""
    return np.log(intensity.astype(np.float32).ravel() + np.float32(0.004))
