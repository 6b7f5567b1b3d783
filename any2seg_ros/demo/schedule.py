"""Which sensors are played when."""

from __future__ import annotations

from dataclasses import dataclass

from any2seg_ros.types import Modality, Subset

ALL = tuple(Modality)


@dataclass(frozen=True)
class Phase:
    """A period of `seconds` in which only the sensors of `subset` are played."""

    name: str
    subset: Subset
    seconds: float


def schedule(seconds: float, blind_seconds: float = 3.0) -> tuple[Phase, ...]:
    """The phases of the demo: sensors are removed until none is left, then all return."""
    return (
        Phase("all four", ALL, seconds),
        Phase("no camera", (Modality.DEPTH, Modality.LIDAR, Modality.EVENT), seconds),
        Phase("no camera, no depth", (Modality.LIDAR, Modality.EVENT), seconds),
        Phase("events alone", (Modality.EVENT,), seconds),
        Phase("LiDAR alone", (Modality.LIDAR,), seconds),
        Phase("nothing", (), blind_seconds),
        Phase("all back", ALL, seconds),
    )
