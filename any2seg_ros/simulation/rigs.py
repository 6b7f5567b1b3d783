"""Rigs drawn at random: other cameras, LiDARs, depth and event cameras on other vehicles.

A network that has seen one rig takes its LiDAR's beams, its camera's height and the reflectance of
its asphalt for the world's. What is drawn here covers the sensors that are sold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from any2seg_ros.simulation.settings import (
    DepthSettings,
    EventSettings,
    LidarSettings,
    RgbSettings,
    SensorSettings,
)

SIZES = ((512, 288), (480, 360), (640, 194), (512, 320), (576, 240), (400, 300))
"""(width, height) of the RGB camera, from 4:3 to the wide strips of rectified stereo pairs."""
EVENT_SIZES = ((256, 144), (346, 260), (320, 180))
MATERIALS = 256
"""Materials at most, each with a reflectance of its own."""


@dataclass(frozen=True, eq=False)
class DrawnRig:
    """Sensors of one vehicle; size: (width, height) of its RGB camera in pixels; infrared: factors
    on the reflectance of each material, (`MATERIALS`,), as this LiDAR sees and scales it."""

    settings: SensorSettings
    size: tuple[int, int]
    infrared: np.ndarray


@lru_cache(maxsize=64)
def draw_rig(*seed: int) -> DrawnRig:
    """The rig of a seed, always the same."""
    rng = np.random.default_rng([len(seed), *seed])
    view = float(rng.uniform(40, 110))
    position = (float(rng.uniform(0.2, 1.9)), 0.0, float(rng.uniform(-0.75, 0.8)))
    size = SIZES[int(rng.integers(len(SIZES)))]
    rgb = RgbSettings(
        field_of_view=view,
        position=position,
        full_well=_between(rng, 400, 8000),
        read_noise=float(rng.uniform(3, 15)),
        blur=float(rng.uniform(0.3, 1.2)),
        jpeg_quality=int(rng.integers(35, 96)),
    )
    settings = SensorSettings(
        rgb, _depth(rng, view, position), _lidar(rng, view), _event(rng, view, position)
    )
    infrared = np.exp(rng.normal(0, 0.55, MATERIALS)) * _between(rng, 0.3, 2.0)
    return DrawnRig(settings, size, infrared)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, as likely near either by its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _depth(
    rng: np.random.Generator, view: float, position: tuple[float, float, float]
) -> DepthSettings:
    """From a narrow baseline and a short reach to a wide pair with sparse, precise depth."""
    x, _, z = position
    return DepthSettings(
        field_of_view=float(np.clip(view * rng.uniform(0.85, 1.25), 40, 110)),
        position=(x, float(rng.uniform(-0.2, 0.2)), z + float(rng.uniform(-0.05, 0.1))),
        yaw=float(rng.uniform(-1, 1)),
        pitch=float(rng.uniform(-1, 1)),
        baseline=_between(rng, 0.06, 0.5),
        disparity_noise=float(rng.uniform(0.05, 0.3)),
        disparity_step=float(rng.choice([0.03125, 0.0625, 0.125])),
        far=_between(rng, 12, 90),
        glass_holes=float(rng.uniform(0.3, 0.95)),
        speckle=_between(rng, 0.005, 0.3),
    )


def _lidar(rng: np.random.Generator, view: float) -> LidarSettings:
    """16 to 128 beams, on the roof or on the bonnet, looking up far or hardly at all."""
    sector = float(np.clip(view * 1.25, 70, 140))
    return LidarSettings(
        beams=int(rng.choice([16, 32, 40, 64, 64, 96, 128])),
        lowest=float(rng.uniform(-31, -14)),
        highest=float(rng.uniform(1, 16)),
        sector=sector,
        columns=int(sector / rng.uniform(0.15, 0.35)),
        rate=float(rng.choice([10.0, 20.0])),
        position=(
            float(rng.uniform(-0.6, 1.6)),
            float(rng.uniform(-0.3, 0.3)),
            float(rng.uniform(-0.6, 0.75)),
        ),
        far=float(rng.uniform(60, 150)),
        noise=float(rng.uniform(0.008, 0.05)),
        sensitivity=_between(rng, 3e-5, 6e-4),
    )


def _event(
    rng: np.random.Generator, view: float, position: tuple[float, float, float]
) -> EventSettings:
    width, height = EVENT_SIZES[int(rng.integers(len(EVENT_SIZES)))]
    x, _, z = position
    return EventSettings(
        width=width,
        height=height,
        field_of_view=float(np.clip(view * rng.uniform(0.9, 1.2), 40, 110)),
        position=(x, float(rng.uniform(-0.15, 0.15)), z + 0.02),
        yaw=float(rng.uniform(-1, 1)),
        pitch=float(rng.uniform(-1, 1)),
        threshold=float(rng.uniform(0.16, 0.5)),
        threshold_spread=float(rng.uniform(0.01, 0.07)),
        noise_rate=_between(rng, 0.05, 2),
    )
