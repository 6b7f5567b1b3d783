"""Towns: everything that a class needs is built, and a seed means one town."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.site import TEST_SETTINGS, TownSettings
from any2seg_ros.simulation.town import build_town
from any2seg_ros.taxonomy import DELIVER


@pytest.mark.parametrize("settings", [TownSettings(), TEST_SETTINGS], ids=["train", "test"])
def test_every_class_is_built_in_a_few_towns(settings: TownSettings) -> None:
    missing = set(range(len(DELIVER))) - {DELIVER.id("Sky")}
    for seed in range(6):
        town = build_town(np.random.SeedSequence(seed), settings, 3.0)
        missing -= set(town.still.label.tolist())
        for mover in town.movers:
            missing -= set(mover.mesh.label.tolist())
        if not missing:
            return
    raise AssertionError([DELIVER.classes[k] for k in missing])


def test_a_seed_means_one_town() -> None:
    first, again, other = (
        build_town(np.random.SeedSequence(seed), TownSettings(), 1.0) for seed in (5, 5, 6)
    )
    assert np.array_equal(first.still.rows, again.still.rows)
    assert np.array_equal(first.lamps, again.lamps) and len(first.movers) == len(again.movers)
    assert len(other.still) != len(first.still)


def test_the_vehicle_drives_on_the_right_within_the_carriageway() -> None:
    for seed in range(4):
        town = build_town(np.random.SeedSequence(seed), TownSettings(), 1.0)
        assert -8.0 < town.lane < -1.0
        assert 1.4 < town.camera_height < 1.8 and town.speed > 0
