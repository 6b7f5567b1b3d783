"""Objects stand on the ground, have the size of real ones and the class they are named for."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation import objects
from any2seg_ros.simulation.objects import CLASS

SIZES = {
    "car": (objects.car, "Cars", (3.5, 5.3), (1.4, 2.2)),
    "bus": (objects.bus, "Bus", (9.4, 12.2), (2.8, 3.6)),
    "truck": (objects.truck, "Truck", (6.4, 9.8), (2.2, 3.6)),
    "person": (objects.person, "Pedestrian", (0.2, 1.6), (1.0, 2.1)),
    "motorcycle": (lambda rng: objects.motorcycle(rng, False), "TwoWheeler", (1.8, 2.3), (1, 1.3)),
    "tree": (objects.tree, "Vegetation", (0.8, 7.0), (3.5, 9.5)),
    "street_light": (objects.street_light, "Pole", (1.5, 2.3), (6.4, 6.7)),
}
"""Maker, class, and ranges of length along x and of height, in metres."""


@pytest.mark.parametrize("name", SIZES)
def test_objects_have_their_class_and_a_real_size(name: str) -> None:
    maker, label, lengths, heights = SIZES[name]
    for seed in range(12):
        mesh = maker(np.random.default_rng(seed))
        low, high = mesh.corners.min((0, 1)), mesh.corners.max((0, 1))
        assert set(mesh.label.tolist()) == {CLASS[label]}
        assert -0.1 < low[2] < 0.15
        assert lengths[0] <= high[0] - low[0] <= lengths[1]
        assert heights[0] <= high[2] <= heights[1]


def test_a_rider_is_a_pedestrian_as_in_deliver() -> None:
    mesh = objects.bicycle(np.random.default_rng(0))
    assert set(mesh.label.tolist()) == {CLASS["TwoWheeler"], CLASS["Pedestrian"]}
    alone = objects.bicycle(np.random.default_rng(0), rider=False)
    assert set(alone.label.tolist()) == {CLASS["TwoWheeler"]}


@pytest.mark.parametrize(
    ("maker", "label"),
    [
        (objects.static_thing, "Static"),
        (objects.dynamic_thing, "Dynamic"),
        (objects.other_thing, "Other"),
        (objects.traffic_light, "TrafficLight"),
        (objects.traffic_sign, "TrafficSign"),
        (lambda rng: objects.building(rng, 10.0, 9.0, 3), "Building"),
    ],
)
def test_furniture_contains_its_class(maker, label: str) -> None:
    for seed in range(8):
        assert CLASS[label] in maker(np.random.default_rng(seed)).label


def test_one_lamp_of_each_signal_is_lit() -> None:
    for seed in range(6):
        mesh = objects.traffic_light(np.random.default_rng(seed))
        lamps = mesh.rows[:, 20] > 0
        signals = 2 if mesh.corners[..., 1].min() < -1.0 else 1
        assert lamps.sum() == 12 * signals


def test_a_building_faces_x_and_has_its_width() -> None:
    corners = objects.building(np.random.default_rng(1), 12.0, 9.0, 2).corners
    assert np.ptp(corners[..., 1]) == pytest.approx(12.0, abs=0.5)
    assert corners[..., 0].min() == pytest.approx(-9.0, abs=0.5)
