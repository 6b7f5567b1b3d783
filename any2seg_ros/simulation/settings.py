"""Settings of the simulated sensors; `python -m any2seg_ros.simulation.settings` prints them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from any2seg_ros.configuration import as_yaml, check, load, setting

Vector = tuple[float, float, float]

HEADER = """\
# Settings of the simulated sensors: `any2seg simulate --sensors FILE`. These are the defaults; keys
# that a file leaves out keep theirs.
"""


def _field_of_view(default: float) -> float:
    return setting(default, "horizontal field of view", "deg", above=0, high=170)


def _position(default: Vector) -> Vector:
    return setting(default, "position in base_link; z from the camera height of the drive", "m")


def _angle(default: float, name: str) -> float:
    return setting(default, f"{name} relative to the RGB camera", "deg", low=-180, high=180)


def _pixels(default: int, what: str) -> int:
    return setting(default, f"image {what}", "px", low=16, high=8192)


def _range(default: float, text: str) -> float:
    return setting(default, text, "m", above=0)


@dataclass(frozen=True)
class RgbSettings:
    """RGB camera: a pinhole, and the reference camera."""

    field_of_view: float = _field_of_view(78.0)
    position: Vector = _position((1.6, 0.0, 0.0))
    full_well: float = setting(
        2200.0, "electrons of a white pixel by day; sets the shot noise", above=0
    )
    read_noise: float = setting(6.0, "read noise in electrons", low=0)
    blur: float = setting(0.45, "sigma of the lens blur", "px", low=0)
    exposure_time: float = setting(
        0.008,
        "exposure time; motion blur is rendered in the failure case motionblur only",
        "s",
        above=0,
    )
    motionblur_time: float = setting(
        0.09, "exposure time in the failure case motionblur", "s", above=0
    )
    jpeg_quality: int = setting(80, "JPEG quality", low=1, high=100)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DepthSettings:
    """Stereo depth camera beside the RGB camera."""

    width: int = _pixels(384, "width")
    height: int = _pixels(216, "height")
    field_of_view: float = _field_of_view(82.0)
    position: Vector = _position((1.6, -0.14, 0.02))
    yaw: float = _angle(-0.4, "yaw")
    pitch: float = _angle(0.3, "pitch")
    baseline: float = _range(0.30, "baseline of the stereo pair")
    disparity_noise: float = setting(0.11, "sigma of the disparity", "px", low=0)
    disparity_step: float = setting(0.0625, "resolution of the disparity", "px", above=0)
    near: float = _range(0.7, "min depth")
    far: float = _range(60.0, "max depth")
    glass_holes: float = setting(0.75, "fraction of glass without depth", low=0, high=1)
    speckle: float = setting(0.01, "fraction of pixels without depth at random", low=0, high=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LidarSettings:
    """Spinning LiDAR on the roof; the driver keeps the front sector."""

    beams: int = setting(32, "number of beams", low=1, high=1024)
    lowest: float = setting(-22.0, "elevation of the lowest beam", "deg", low=-90, high=90)
    highest: float = setting(7.0, "elevation of the highest beam", "deg", low=-90, high=90)
    sector: float = setting(110.0, "azimuth range that is kept", "deg", above=0, high=360)
    columns: int = setting(440, "firings in the sector", low=1, high=16384)
    rate: float = setting(
        10.0, "turns per second; the middle of the sector is at the stamp", "Hz", above=0
    )
    position: Vector = _position((1.0, 0.0, 0.45))
    near: float = _range(1.2, "min range")
    far: float = _range(90.0, "max range")
    noise: float = setting(0.02, "sigma of the range", "m", low=0)
    sensitivity: float = setting(
        0.00022,
        "return power, relative to range 1 m, at which half of the returns are lost",
        low=0,
    )
    jitter: float = setting(
        0.6, "sigma of the angles in the failure case lidarjitter", "deg", low=0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EventSettings:
    """Event camera beside the RGB camera."""

    width: int = _pixels(256, "width")
    height: int = _pixels(144, "height")
    field_of_view: float = _field_of_view(80.0)
    position: Vector = _position((1.6, 0.12, 0.02))
    yaw: float = _angle(0.3, "yaw")
    pitch: float = _angle(-0.2, "pitch")
    threshold: float = setting(0.28, "contrast threshold, in log intensity", above=0)
    threshold_spread: float = setting(
        0.035, "sigma of the threshold over the pixels, in log intensity", low=0
    )
    refractory: float = setting(0.001, "refractory period of a pixel", "s", low=0)
    noise_rate: float = setting(
        0.25, "background events per pixel by day; four times as many at night", "Hz", low=0
    )
    step: float = setting(0.0167, "time between renders", "s", above=0)
    window: float = setting(
        0.05, "length of the events stored with a frame of the DELIVER layout", "s", above=0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SensorSettings:
    """All simulated sensors."""

    rgb: RgbSettings = field(default_factory=RgbSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    lidar: LidarSettings = field(default_factory=LidarSettings)
    event: EventSettings = field(default_factory=EventSettings)


DEFAULTS = SensorSettings()
"""The settings of the benchmark."""


def load_settings(path: Path | str | None) -> SensorSettings:
    """Settings from a YAML file; None gives the defaults.

    FileNotFoundError; ValueError names the file and the key.
    """
    return SensorSettings() if path is None else load(SensorSettings, path)


if __name__ == "__main__":
    print(HEADER + as_yaml(DEFAULTS), end="")
