"""The vehicle: its trajectory, and the sensors mounted on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from any2seg_ros.simulation.settings import SensorSettings
from any2seg_ros.simulation.town import Town
from any2seg_ros.types import Camera

OPTICAL = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0, 0, 0, 1]]
)
"""Optical frame (x right, y down, z forward) to body frame (x forward, y left, z up)."""


def rotation(yaw: float, pitch: float, roll: float = 0.0) -> np.ndarray:
    """Roll about x, then pitch about y (positive: nose down), then yaw about z; rad; (4, 4)."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    matrix = np.eye(4)
    matrix[:3, :3] = (
        np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    )
    return matrix


def translation(x: float, y: float, z: float) -> np.ndarray:
    """Translation (4, 4) by (x, y, z) in metres."""
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def pinhole(width: int, height: int, field_of_view: float) -> Camera:
    """A camera without distortion; `field_of_view` is horizontal, in degrees."""
    focal = width / 2 / np.tan(np.radians(field_of_view) / 2)
    return Camera(width, height, float(focal), float(focal), (width - 1) / 2, (height - 1) / 2)


@dataclass(frozen=True, eq=False)
class Rig:
    """The sensors on the vehicle. base_from_*: float64 (4, 4), sensor frame to base_link."""

    rgb: Camera
    depth: Camera
    event: Camera
    base_from_rgb: np.ndarray
    base_from_depth: np.ndarray
    base_from_event: np.ndarray
    base_from_lidar: np.ndarray

    @classmethod
    def of(
        cls, settings: SensorSettings, size: tuple[int, int], height: float, low: bool = False
    ) -> Rig:
        """The rig with an RGB camera of `size` pixels; `low` halves the event camera's."""

        def mount(position: tuple[float, float, float], yaw: float, pitch: float) -> np.ndarray:
            x, y, z = position
            return translation(x, y, z + height) @ rotation(np.radians(yaw), np.radians(pitch))

        rgb, depth, event = settings.rgb, settings.depth, settings.event
        shrink = 2 if low else 1
        return cls(
            pinhole(*size, rgb.field_of_view),
            pinhole(depth.width, depth.height, depth.field_of_view),
            pinhole(event.width // shrink, event.height // shrink, event.field_of_view),
            mount(rgb.position, 0.0, 0.0) @ OPTICAL,
            mount(depth.position, depth.yaw, depth.pitch) @ OPTICAL,
            mount(event.position, event.yaw, event.pitch) @ OPTICAL,
            mount(settings.lidar.position, 0.0, 0.0),
        )

    def reference_from(self, base_from_sensor: np.ndarray) -> np.ndarray:
        """Transform from a sensor's frame to the RGB camera's optical frame, float64 (4, 4)."""
        return np.linalg.inv(self.base_from_rgb) @ base_from_sensor


class Drive:
    """The vehicle's trajectory: along its lane, with weave, pitch, roll and vibration."""

    def __init__(self, town: Town, seed: np.random.SeedSequence) -> None:
        self.town = town
        rng = np.random.default_rng(seed)
        # Rows: weave (m), yaw, pitch, roll (rad); columns: sway, suspension, vibration.
        self._size = np.array(
            [
                [0.15, 0.02, 0.0],
                [0.02, 0.003, 0.0003],
                [0.006, 0.008, 0.0006],
                [0.006, 0.004, 0.0004],
            ]
        ) * rng.uniform(0.3, 1.0, (4, 3))
        self._rate = 2 * np.pi * rng.uniform([0.12, 0.9, 9.0], [0.3, 1.7, 14.0], (4, 3))
        self._phase = rng.uniform(0, 2 * np.pi, (4, 3))

    def distance(self, seconds: float) -> float:
        """Distance driven along the road at `seconds`, in metres."""
        return self.town.speed * seconds

    def world_from_base(self, seconds: float) -> np.ndarray:
        """Pose of base_link (on the ground below the rear axle) in the world, float64 (4, 4)."""
        weave, yaw, pitch, roll = (
            self._size * np.sin(self._rate * seconds + self._phase)
        ).sum(1)  # fmt: skip
        s = self.distance(seconds)
        x, y, z, heading = self.town.road.pose(s, self.town.lane + weave)
        lean = -np.arctan(self.town.road.slope(s))
        return translation(x, y, z) @ rotation(heading + yaw, lean + pitch, roll)
