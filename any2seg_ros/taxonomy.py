"""Class tables: ids, names and colours of the data sets that the networks are trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from any2seg_ros.types import IGNORE


@dataclass(frozen=True)
class Taxonomy:
    """A closed list of classes; a class's id is its position."""

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.classes)

    def id(self, name: str) -> int:
        """The id of the class called `name`."""
        return self.classes.index(name)

    @property
    def palette(self) -> np.ndarray:
        """RGB colours by label, uint8 (256, 3); ignored pixels and unknown ids are black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = self.colors
        palette[IGNORE] = 0
        return palette

    @property
    def css_colors(self) -> dict[str, str]:
        """Colours by class name, as style sheets write them."""
        return {n: f"rgb{color}" for n, color in zip(self.classes, self.colors, strict=True)}

    def colorize(self, labels: np.ndarray) -> np.ndarray:
        """labels uint8 (H, W) -> colours uint8 (H, W, 3), RGB."""
        return np.take(self.palette, labels, axis=0)


def _taxonomy(name: str, rows: str) -> Taxonomy:
    classes, colors = [], []
    for row in rows.strip().splitlines():
        label, r, g, b = row.split()
        classes.append(label)
        colors.append((int(r), int(g), int(b)))
    return Taxonomy(name, tuple(classes), tuple(colors))


DELIVER = _taxonomy(
    "deliver",
    """
    Building 70 70 70
    Fence 100 40 40
    Other 55 90 80
    Pedestrian 220 20 60
    Pole 153 153 153
    RoadLine 157 234 50
    Road 128 64 128
    SideWalk 244 35 232
    Vegetation 107 142 35
    Cars 0 0 142
    Wall 102 102 156
    TrafficSign 220 220 0
    Sky 70 130 180
    Ground 81 0 81
    Bridge 150 100 100
    RailTrack 230 150 140
    GroundRail 180 165 180
    TrafficLight 250 170 30
    Static 110 190 160
    Dynamic 170 120 50
    Water 45 60 150
    Terrain 145 170 100
    TwoWheeler 0 0 230
    Bus 0 60 100
    Truck 0 0 70
    """,
)
"""DELIVER (Zhang et al., CVPR 2023): 25 classes of the CARLA simulator."""

CITYSCAPES = _taxonomy(
    "cityscapes",
    """
    road 128 64 128
    sidewalk 244 35 232
    building 70 70 70
    wall 102 102 156
    fence 190 153 153
    pole 153 153 153
    traffic_light 250 170 30
    traffic_sign 220 220 0
    vegetation 107 142 35
    terrain 152 251 152
    sky 70 130 180
    person 220 20 60
    rider 255 0 0
    car 0 0 142
    truck 0 0 70
    bus 0 60 100
    train 0 80 100
    motorcycle 0 0 230
    bicycle 119 11 32
    """,
)
"""The 19 train ids of Cityscapes (Cordts et al., CVPR 2016), used by MUSES."""

TAXONOMIES = {taxonomy.name: taxonomy for taxonomy in (DELIVER, CITYSCAPES)}


def get(name: str) -> Taxonomy:
    """The taxonomy called `name`; ValueError names those that exist."""
    try:
        return TAXONOMIES[name]
    except KeyError:
        raise ValueError(f"unknown taxonomy '{name}': use one of {', '.join(TAXONOMIES)}") from None
