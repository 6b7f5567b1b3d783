"""Scenes of one simulated street, for the tests of the simulator."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from any2seg_ros.simulation.scene import Scene, SceneSpec
from any2seg_ros.simulation.settings import EventSettings, SensorSettings

SIZE = (256, 144)
SETTINGS = SensorSettings(event=EventSettings(width=128, height=72))
_FIRST: list[Scene] = []


def make(condition: str = "sun", failure: str = "") -> Scene:
    """A scene of the street in a condition; the town is built once."""
    spec = SceneSpec("train", 3, condition, failure, frames=2, rate=2.0, size=SIZE)
    scene = Scene(spec, SETTINGS, _FIRST[0] if _FIRST else None)
    _FIRST.append(scene)
    return scene
