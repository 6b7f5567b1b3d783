"""Which channel of a cloud is its intensity, and what of it is 1: steady over a drive.

LiDARs send 0..1, 0..255, 16 bits, or photons without an end. A scale that each cloud sets anew
jumps with it, so the scale here is that of many clouds: none of them moves it alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

AUTO = "auto"
CANDIDATES = ("reflectivity", "intensity", "intensities", "i")
"""Fields that are looked for, the calibrated one first."""
_CLOUDS = 101
"""Clouds whose levels count: at 10 Hz, half of a change is through after five seconds."""
_SURE_AFTER = 10
"""Clouds after which a channel may be called saturated or dead."""
_SAMPLES = 2048
_LEVEL = 0.98
"""The quantile of a cloud that stands for its largest values: retro-reflectors are above it."""
_USUAL = 0.6
"""Where that quantile lies in calibrated channels: 0.53 to 0.68 in KITTI's drives, 0.6 in Streets.
Photons, which have no largest value, are scaled so that it lies there."""
_SATURATED = 0.3
_STEADY = 1.25
"""Ratio by which the level of photons may wander until the scale follows."""
_WHOLE, _BYTE, _WORD = 1.0, 255.0, 65535.0
_BANDS = {_WHOLE: (0.0, 1.5), _BYTE: (1.5, 300.0), _WORD: (8192.0, math.inf)}
"""Levels at which a channel is one of 0..1, 0..255 or 16 bits; between them it counts photons."""


@dataclass(frozen=True)
class IntensityConfig:
    """field: name of the channel, or auto. scale: factor that brings it to 0..1; 0 finds it."""

    field: str = AUTO
    scale: float = 0.0


class IntensityScale:
    """The intensity of one LiDAR, cloud by cloud in their order."""

    def __init__(self, config: IntensityConfig = IntensityConfig()) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Forget the LiDAR."""
        self._given: tuple[str, ...] | None = None
        self._field: str | None = None
        self._levels: deque[float] = deque(maxlen=_CLOUDS)
        self._full_shares: deque[float] = deque(maxlen=_CLOUDS)
        self._same: deque[bool] = deque(maxlen=_CLOUDS)
        self.full = 0.0
        """The value that becomes 1; 0 before the first cloud."""

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are worth reading."""
        chosen = () if self.config.field == AUTO else (self.config.field,)
        return (*chosen, *CANDIDATES)

    @property
    def field(self) -> str | None:
        """The field that was taken of the last cloud, if it had one."""
        return self._field

    @property
    def warning(self) -> str:
        """What is wrong with the channel, in words for people; empty where nothing is."""
        if self._given is None:
            return ""
        wanted = self.config.field
        if wanted not in (AUTO, *self._given):
            found = f"{self._field} is used" if self._field else "it has no other"
            return f"the cloud has no field '{wanted}' (lidar.intensity_field): {found}"
        if self._field is None:
            return f"the cloud has no intensity (none of {', '.join(CANDIDATES)})"
        if len(self._same) < _SURE_AFTER:
            return ""
        if all(self._same):
            return f"{self._field} is dead: all points of a cloud have the same"
        share = _middle(self._full_shares)
        if share > _SATURATED:
            return (
                f"{self._field} is saturated: {100 * share:.0f} % of the points have its largest "
                "value; set lidar.intensity_field or lidar.intensity_scale"
            )
        return ""

    def choose(self, channels: Mapping[str, np.ndarray]) -> str | None:
        """Which of a cloud's channels is the intensity; the choice stays while the fields do."""
        given = tuple(channels)
        if given != self._given:
            field = self._best(channels)
            if field != self._field:
                self.reset()
            self._given, self._field = given, field
        return self._field

    def _best(self, channels: Mapping[str, np.ndarray]) -> str | None:
        if self.config.field in channels:
            return self.config.field
        found = [name for name in CANDIDATES if name in channels]
        with np.errstate(over="ignore"):
            alive = [name for name in found if np.ptp(_sample(channels[name]), axis=None) > 0]
        return next(iter((*alive, *found)), None)

    def apply(self, values: np.ndarray, out: np.ndarray) -> None:
        """Writes the intensities (h, w) of a cloud, of any type, in 0..1 to `out`, float32."""
        sample = _sample(values)
        self._learn(values.dtype, sample)
        factor = np.float32(self.config.scale or 1.0 / self.full)
        self._full_shares.append(float(np.mean(sample * factor >= 0.999)))
        with np.errstate(all="ignore"):
            scaled = np.multiply(values, factor, dtype=np.float32, casting="unsafe")
            if values.dtype.kind == "f" and not np.isfinite(scaled.sum()):
                np.nan_to_num(scaled, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        np.clip(scaled, 0.0, 1.0, out=out)

    def _learn(self, dtype: np.dtype, sample: np.ndarray) -> None:
        self._same.append(bool(sample.min() == sample.max()))
        at = int(_LEVEL * (len(sample) - 1))
        self._levels.append(float(np.partition(sample, at)[at]))
        level = _middle(self._levels)
        if dtype == np.uint8:
            self.full = _BYTE
            return
        if dtype.kind != "f":
            level = max(level, 2.0)  # whole numbers are not those of 0..1
        if not self._fits(level):
            bands = (full for full, (low, high) in _BANDS.items() if low < level <= high)
            self.full = next(bands, level / _USUAL) if level > 0 else _WHOLE

    def _fits(self, level: float) -> bool:
        """Whether the scale can stay as it is; at an edge between two, it does."""
        if not self.full:
            return False
        photons = self.full * _USUAL
        low, high = _BANDS.get(self.full, (photons, photons))
        return low / _STEADY <= level <= high * _STEADY


def _middle(values: deque[float]) -> float:
    return sorted(values)[len(values) // 2]


def _sample(values: np.ndarray) -> np.ndarray:
    """Some of the values (h, w) that are numbers, float32 (n,), at least one."""
    rows = max(1, values.shape[0] * values.shape[1] // (_SAMPLES * values.shape[1]))
    columns = max(1, values.shape[1] * min(values.shape[0], _SAMPLES) // _SAMPLES)
    with np.errstate(over="ignore"):  # what is too large is no number, then
        sample = values[::rows, ::columns].astype(np.float32).reshape(-1)
    sample = sample[np.isfinite(sample)]
    return sample if len(sample) else np.zeros(1, np.float32)
