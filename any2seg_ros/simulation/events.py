"""Event camera model: an event per threshold crossing of log intensity."""

from __future__ import annotations

import numpy as np

from any2seg_ros.simulation.settings import EventSettings
from any2seg_ros.types import Events


class EventSensor:
    """Turns renders at increasing times into events, by the log-intensity threshold model.

    Log intensity is interpolated linearly between two renders. A pixel fires when its log intensity
    differs from the level of its last event by its own threshold. `pattern` seeds the thresholds
    (fixed per sensor), `chance` the noise.
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
        """Set the first render, linear float32 (h, w); pixels start at random levels."""
        self._light = _logarithm(intensity)
        phase = self._rng.uniform(-0.9, 0.9, self._light.size).astype(np.float32)
        self._level = self._light + phase * self.thresholds.min(0)
        self._time = stamp

    def advance(self, stamp: int, intensity: np.ndarray) -> Events:
        """The events from the last render to this one, linear float32 (h, w) at `stamp` (ns)."""
        if self._level is None:
            raise ValueError("the event sensor has no first render: call start() before advance()")
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
        """Drop events within the refractory time of their pixel."""
        rest = round(self.settings.refractory * 1e9)
        if rest <= 0 or not len(pixel):
            return pixel, when, positive
        # Events of a pixel are adjacent and in order of time.
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
    """Log intensity float32 (h * w,), with a floor that models the photodiode's leakage."""
    return np.log(intensity.astype(np.float32).ravel() + np.float32(0.004))
