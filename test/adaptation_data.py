"""A short simulated drive, a few streets and small weights, for the tests of adaptation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.network import checkpoints
from any2seg_ros.resources import weights_path
from any2seg_ros.simulation.bag import write_bag
from any2seg_ros.simulation.dataset import Plan, write_plans
from any2seg_ros.simulation.scene import Scene, SceneSpec
from any2seg_ros.simulation.settings import (
    DepthSettings,
    EventSettings,
    LidarSettings,
    SensorSettings,
)

SIZE = (96, 64)
PICTURE = (128, 80)
FRAMES = 21
SETTINGS = SensorSettings(
    depth=DepthSettings(width=96, height=60),
    lidar=LidarSettings(columns=160),
    event=EventSettings(width=64, height=36),
)


def spec() -> SceneSpec:
    return SceneSpec("test", 1, "sun", frames=FRAMES, rate=10.0, size=PICTURE)


def write_drive(folder: Path) -> None:
    """A bag of two seconds: 14 frames to learn from, 7 held back."""
    write_bag(folder, Scene(spec(), SETTINGS))


@dataclass(frozen=True)
class Place:
    """Where everything is."""

    root: Path

    @property
    def bag(self) -> Path:
        return self.root / "drive"

    @property
    def streets(self) -> Path:
        return self.root / "streets"

    @property
    def weights(self) -> Path:
        return self.root / "small.safetensors"

    def config(self, out: str, **changes) -> AdaptationConfig:
        """A short adaptation."""
        config = AdaptationConfig(
            bags=(self.bag,),
            out=self.root / out,
            model=str(self.weights),
            streets=self.streets,
            device="cpu",
            threads=1,
            steps=4,
            rounds=2,
            batch_size=2,
        )
        return replace(config, **changes)


def write(root: Path) -> Place:
    """The drive, the streets, and the weights of the package for images of 96 x 64."""
    place = Place(root)
    write_drive(place.bag)
    plans = [Plan(split, 1, 2, ("sun",), (), size=PICTURE) for split in ("train", "val")]
    write_plans(place.streets, plans, SETTINGS)
    network, metadata = checkpoints.load(weights_path("streets"))
    checkpoints.save(place.weights, network, replace(metadata, size=SIZE), half=True)
    return place
