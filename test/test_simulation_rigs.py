"""Rigs drawn at random: of all kinds, the same for the same seed, and no part of the benchmark."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from any2seg_ros.resources import find
from any2seg_ros.simulation.dataset import Plan, _as_json
from any2seg_ros.simulation.recipe import load_recipe
from any2seg_ros.simulation.rigs import draw_rig
from any2seg_ros.simulation.scene import Scene

RIGS = [draw_rig(0, 0, i) for i in range(60)]


def test_a_seed_always_draws_the_same_rig():
    draw_rig.cache_clear()
    again = draw_rig(0, 0, 3)
    assert again is not RIGS[3] and again.settings == RIGS[3].settings
    assert np.array_equal(again.infrared, RIGS[3].infrared)


def test_rigs_cover_the_sensors_that_are_sold():
    lidars = [rig.settings.lidar for rig in RIGS]
    cameras = [rig.settings.rgb for rig in RIGS]
    assert {lidar.beams for lidar in lidars} >= {16, 32, 64, 128}
    assert (
        min(c.field_of_view for c in cameras) < 50 and max(c.field_of_view for c in cameras) > 100
    )
    assert len({rig.size for rig in RIGS}) == 6
    assert min(lidar.highest for lidar in lidars) < 4 and max(x.highest for x in lidars) > 14
    assert np.ptp([np.log(rig.infrared.mean()) for rig in RIGS]) > 1


def test_scenes_take_turns_with_rigs_and_see_one_in_every_condition():
    plan = Plan(scenes=20, frames=1, rigs=2, failures=())
    rigs = [spec.rig for spec in plan.specs()]
    assert rigs == [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5
    assert all(spec.size == spec.drawn_rig.size for spec in plan.specs())


def test_splits_have_rigs_of_their_own():
    train, val = (Plan(split=split, rigs=1).spec(0).drawn_rig for split in ("train", "val"))
    assert asdict(train.settings) != asdict(val.settings)


def test_without_rigs_a_plan_is_what_it_was():
    spec = Plan().spec(0)
    assert spec.rig is None and spec.drawn_rig is None and spec.size == (512, 288)
    assert "rigs" not in _as_json(Plan()) and _as_json(Plan(rigs=3))["rigs"] == 3


def test_a_scene_measures_with_its_rig():
    spec = Plan(rigs=4, scenes=20, frames=1, failures=()).spec(7)
    scene = Scene(spec)
    shot = scene.capture(0)
    lidar = scene.settings.lidar
    assert scene.settings == spec.drawn_rig.settings
    assert shot.rgb.shape[:2] == spec.size[::-1]
    assert shot.cloud.ring.max() < lidar.beams and len(shot.cloud.points) > 100


def test_the_recipe_keeps_five_rigs_back():
    plans = {plan.split: plan for plan in load_recipe(find("config/simulation_rigs.yaml")).plans}
    assert {spec.rig for spec in plans["val"].specs()} == set(range(5))
    assert len({spec.rig for spec in plans["train"].specs()}) == 60
