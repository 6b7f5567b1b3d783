"""Weather: light, air and rain by DELIVER's conditions; names of the failure cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, sqrt
from typing import NamedTuple

import cv2
import numpy as np

from any2seg_ros.loops import inlined

CONDITIONS = ("cloud", "fog", "night", "rain", "sun")
FAILURES = ("motionblur", "overexposure", "underexposure", "lidarjitter", "eventlowres")


Triple = tuple[float, float, float]


class Sky(NamedTuple):
    """A Weather as plain numbers, for compiled loops; `cloud` is the colour of clouds."""

    sun: Triple
    sunlight: Triple
    zenith: Triple
    horizon: Triple
    cloud: Triple
    air: Triple
    fog: float
    rain: float
    cover: float
    night: bool
    shadows: bool


@dataclass(frozen=True, eq=False)
class Weather:
    """The weather of a drive. Radiance is relative: 1 is a white wall in full sun.

    sun: direction towards it, float32 (3,); sunlight, zenith, horizon, air: colours float32 (3,);
    fog: extinction in 1/m; rain, cover: 0..1; clouds: noise float32 (256, 256).
    """

    condition: str
    sun: np.ndarray
    sunlight: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    fog: float
    air: np.ndarray
    rain: float
    night: bool
    cover: float
    clouds: np.ndarray = field(repr=False)

    @property
    def shadows(self) -> bool:
        """Whether the sun casts shadows."""
        return float(self.sunlight.max()) > 0.05

    @cached_property
    def sky(self) -> Sky:
        """The weather as plain numbers."""
        cloud = self.horizon * 0.75 + self.sunlight * 0.35 + 0.1 * self.zenith
        return Sky(
            _triple(self.sun), _triple(self.sunlight), _triple(self.zenith), _triple(self.horizon),
            _triple(cloud), _triple(self.air), float(self.fog), float(self.rain),
            float(self.cover), self.night, self.shadows,
        )  # fmt: skip


def _triple(values: np.ndarray) -> Triple:
    x, y, z = values.tolist()
    return x, y, z


@inlined
def sky_light(sky, clouds, ray):
    """Radiance of the sky in a unit direction, a triple."""
    x, y, z = ray
    up = min(max(z, 0.0), 1.0)
    scale = 36.0 / (up + 0.18)
    cloud = clouds[int(y * scale) & 255, int(x * scale) & 255]
    cloud = min(max((cloud - (1.0 - sky.cover)) * 2.2, 0.0), 1.0) * min(up * 5.0, 1.0)
    color = mixed(mixed(sky.horizon, sky.zenith, sqrt(up)), sky.cloud, cloud)
    if sky.shadows:
        toward_sun = dot(ray, sky.sun)
        halo = 0.35 * max(toward_sun, 0.0) ** 24 + (6.0 if toward_sun > 0.9994 else 0.0)
        color = added(color, sky.sunlight, halo)
    return mixed(sky.air, color, clarity(sky, 120.0 * (1.0 - 0.6 * up)))


@inlined
def clarity(sky, distance):
    """Transmittance of `distance` metres of air."""
    return exp(np.float32(-sky.fog * distance))


@inlined
def dot(a, b):
    """Scalar product of triples."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined
def mixed(a, b, share):
    """Linear interpolation from a to b, triples."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share


@inlined
def added(a, b, scale):
    """a + scale b, triples."""
    return a[0] + b[0] * scale, a[1] + b[1] * scale, a[2] + b[2] * scale


def _f(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def make_weather(condition: str, seed: np.random.SeedSequence) -> Weather:
    """Draw the weather of a condition: sun, haze and clouds vary from drive to drive."""
    if condition not in CONDITIONS:
        raise ValueError(f"unknown condition '{condition}': use some of {', '.join(CONDITIONS)}")
    rng = np.random.default_rng(seed)
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(18, 62))
    sun = _f(np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height))
    clouds = _clouds(rng)
    warm = _f(1.0, 0.9 + 0.1 * np.sin(height), 0.72 + 0.28 * np.sin(height))
    dim = 0.0 * warm
    draws = _DRAWS[condition](rng)
    zenith, horizon, fog, air, rain, cover = draws
    light = 1.15 * warm if condition == "sun" else dim
    night = condition == "night"
    return Weather(condition, sun, light, zenith, horizon, fog, air, rain, night, cover, clouds)


Draws = tuple[np.ndarray, np.ndarray, float, np.ndarray, float, float]


def _sun(rng: np.random.Generator) -> Draws:
    cover = rng.uniform(0.1, 0.5)
    zenith, horizon, air = _f(0.13, 0.27, 0.62), _f(0.55, 0.68, 0.85), _f(0.55, 0.65, 0.8)
    return zenith, horizon, 0.0008, air, 0.0, cover


def _cloud(rng: np.random.Generator) -> Draws:
    gray = rng.uniform(0.5, 0.8)
    zenith, horizon = gray * _f(0.62, 0.66, 0.72), gray * _f(0.85, 0.87, 0.9)
    return zenith, horizon, 0.0025, gray * _f(0.8, 0.83, 0.87), 0.0, rng.uniform(0.55, 0.8)


def _fog(rng: np.random.Generator) -> Draws:
    gray, beta = rng.uniform(0.45, 0.7), rng.uniform(0.03, 0.09)
    color = gray * _f(0.93, 0.95, 0.97)
    return color, color, beta, color, 0.0, 0.3


def _rain(rng: np.random.Generator) -> Draws:
    gray = rng.uniform(0.28, 0.5)
    zenith, horizon = gray * _f(0.6, 0.64, 0.7), gray * _f(0.8, 0.83, 0.87)
    haze, rain = rng.uniform(0.008, 0.018), rng.uniform(0.4, 1.0)
    return zenith, horizon, haze, gray * _f(0.75, 0.78, 0.82), rain, rng.uniform(0.6, 0.85)


def _night(rng: np.random.Generator) -> Draws:
    dark = rng.uniform(0.5, 1.2)
    zenith, horizon = dark * _f(0.003, 0.004, 0.009), dark * _f(0.012, 0.011, 0.012)
    return zenith, horizon, 0.003, dark * _f(0.008, 0.008, 0.01), 0.0, rng.uniform(0.2, 0.6)


_DRAWS: dict[str, Callable[[np.random.Generator], Draws]] = {
    "cloud": _cloud, "fog": _fog, "night": _night, "rain": _rain, "sun": _sun,
}  # fmt: skip


def _clouds(rng: np.random.Generator) -> np.ndarray:
    total = np.zeros((256, 256), np.float32)
    for scale, weight in ((4, 0.5), (8, 0.28), (16, 0.16), (48, 0.08)):
        small = np.tile(rng.uniform(0, 1, (scale, scale)).astype(np.float32), (3, 3))
        big = cv2.resize(small, (768, 768), interpolation=cv2.INTER_CUBIC)
        total += weight * big[256:512, 256:512]
    return (total - total.min()) / np.ptp(total)
