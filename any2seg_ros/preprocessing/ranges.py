"""How metres become channels: depth and LiDAR share their scales, as they share an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RangeScale:
    """Scales of the range and height channels, in metres."""

    near: float = 1.0
    """Distance that is shown as 1."""
    far: float = 100.0
    """Distance that is shown as 0."""
    low: float = -3.0
    """Height above the reference camera that is shown as 0."""
    high: float = 7.0
    """Height above the reference camera that is shown as 1."""

    def closeness(self, distance: np.ndarray) -> np.ndarray:
        """1 at `near`, 0 at `far`, logarithmic between: distances float32 > 0 in metres."""
        scaled = np.log(distance)
        scaled *= np.float32(-1.0 / np.log(self.far / self.near))
        scaled += np.float32(1.0 + np.log(self.near) / np.log(self.far / self.near))
        return np.clip(scaled, 0.0, 1.0, out=scaled)

    def nearness(self, distance: np.ndarray) -> np.ndarray:
        """Inverse distance, 1 at `near` and below: distances float32 > 0 in metres."""
        with np.errstate(over="ignore"):  # of almost nothing
            return np.minimum(np.float32(self.near) / distance, np.float32(1.0))

    def elevation(self, y: np.ndarray) -> np.ndarray:
        """0..1 between `low` and `high`: y float32 in metres, downwards from the camera."""
        scaled = y * np.float32(-1.0 / (self.high - self.low))
        scaled += np.float32(-self.low / (self.high - self.low))
        return np.clip(scaled, 0.0, 1.0, out=scaled)
