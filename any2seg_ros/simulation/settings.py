"""Settings of the simulated sensors, and their YAML."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class RgbSettings:
    """The RGB camera, a pinhole; it is the reference camera."""

    field_of_view: float = 78.0
    """Horizontal, degrees."""
    position: Vector = (1.6, 0.0, 0.0)
    """In base_link, metres; z is counted from the drive's camera height."""
    full_well: float = 2200.0
    """Electrons of a white pixel by day: sets shot noise."""
    read_noise: float = 6.0
    """Electrons."""
    blur: float = 0.45
    """Sigma of the lens, pixels."""
    exposure_time: float = 0.008
    """Seconds; blur of motion is rendered in the failure case motionblur only."""
    motionblur_time: float = 0.09
    """Seconds of exposure in the failure case motionblur."""
    jpeg_quality: int = 80


@dataclass(frozen=True)
class DepthSettings:
    """A stereo depth camera beside the RGB camera."""

    width: int = 384
    height: int = 216
    field_of_view: float = 82.0
    position: Vector = (1.6, -0.14, 0.02)
    yaw: float = -0.4
    """Degrees from the RGB camera's direction; pitch alike."""
    pitch: float = 0.3
    baseline: float = 0.30
    """Metres between its two lenses."""
    disparity_noise: float = 0.11
    """Sigma, pixels."""
    disparity_step: float = 0.0625
    """Pixels between two disparities that it can tell apart."""
    near: float = 0.7
    far: float = 60.0
    glass_holes: float = 0.75
    """Share of glass where no depth is found."""
    speckle: float = 0.01
    """Share of pixels where nothing is found for no reason."""


@dataclass(frozen=True)
class LidarSettings:
    """A spinning LiDAR on the roof, whose driver keeps the sector to the front."""

    beams: int = 32
    lowest: float = -22.0
    highest: float = 7.0
    """Elevation of the beams, degrees."""
    sector: float = 110.0
    """Degrees of azimuth that are kept."""
    columns: int = 440
    """Firings in the sector."""
    rate: float = 10.0
    """Turns in a second; the sector's middle is at the stamp."""
    position: Vector = (1.0, 0.0, 0.45)
    near: float = 1.2
    far: float = 90.0
    noise: float = 0.02
    """Sigma of the range, metres."""
    sensitivity: float = 0.00022
    """Return power of range 1 at which half of the returns are lost."""
    jitter: float = 0.6
    """Sigma of the angles in degrees in the failure case lidarjitter."""


@dataclass(frozen=True)
class EventSettings:
    """An event camera beside the RGB camera."""

    width: int = 256
    height: int = 144
    field_of_view: float = 80.0
    position: Vector = (1.6, 0.12, 0.02)
    yaw: float = 0.3
    pitch: float = -0.2
    threshold: float = 0.28
    """Change of log intensity that makes an event."""
    threshold_spread: float = 0.035
    """Sigma of the thresholds over the pixels."""
    refractory: float = 0.001
    """Seconds after an event in which a pixel is blind."""
    noise_rate: float = 0.25
    """Background events of a pixel in a second by day; four times as many at night."""
    step: float = 0.0167
    """Seconds between renders."""
    window: float = 0.05
    """Seconds of events that are stored with a frame of the DELIVER layout."""


@dataclass(frozen=True)
class SensorSettings:
    """All sensors."""

    rgb: RgbSettings = field(default_factory=RgbSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    lidar: LidarSettings = field(default_factory=LidarSettings)
    event: EventSettings = field(default_factory=EventSettings)


DEFAULTS = SensorSettings()
"""The settings of the benchmark."""

T = TypeVar("T")


def from_mapping(kind: type[T], values: Any, where: str = "") -> T:
    """A settings dataclass from nested mappings; ValueError names an unknown or a wrong entry."""
    if not isinstance(values, dict):
        raise ValueError(f"'{where or kind.__name__}' must be a mapping of settings")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}.{name}" if where else str(name)
        if name not in known:
            raise ValueError(f"unknown setting '{path}': use some of {', '.join(known)}")
        hint = hints[name]
        if is_dataclass(hint):
            arguments[name] = from_mapping(hint, value, path)  # type: ignore[arg-type]
        elif isinstance(value, list):
            arguments[name] = tuple(float(v) for v in value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            arguments[name] = hint(value)
        else:
            raise ValueError(
                f"setting '{path}' must be a number or a list of numbers, not {value!r}"
            )
    return kind(**arguments)


def load_settings(path: Path | str | None) -> SensorSettings:
    """Settings from a YAML file; None gives the defaults. Errors name the file."""
    if path is None:
        return SensorSettings()
    try:
        values = yaml.safe_load(Path(path).read_text()) or {}
        return from_mapping(SensorSettings, values)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from None
