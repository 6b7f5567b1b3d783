"""Light on surfaces: sun, shadows, fog, lamps and wet roads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from any2seg_ros.simulation.materials import M
from any2seg_ros.simulation.mesh import Appearance, Mesh, box, join
from any2seg_ros.simulation.rays import Bvh, Instances
from any2seg_ros.simulation.shading import Lights, radiance, surfaces
from any2seg_ros.simulation.snapshot import Faces, Snapshot
from any2seg_ros.simulation.weather import Weather, make_weather

DOWN = np.float32([[0, 0, -1]])
ORIGIN = np.float32([[0, 0, 5]])
DARK = Lights(np.zeros((0, 3), np.float32), np.float32([500, 0, 0]), np.float32([1, 0, 0]))
GROUND = box((200, 200, 1), (0, 0, -0.5), Appearance(0, M["asphalt"]))
ROOF = box((20, 20, 0.1), (0, 0, 10), Appearance(1, M["plain"]))


def snapshot(*meshes: Mesh) -> Snapshot:
    mesh = join(meshes)
    pose = np.eye(3, 4, dtype=np.float32)[None]
    instances = Instances([Bvh(mesh.corners)], pose, np.zeros(1, np.int32))
    turns = np.float32([[1, 0]])
    return Snapshot(instances, Faces.of(mesh, join([])), turns)


def light(view: Snapshot, weather: Weather, lights: Lights = DARK, mirrors: bool = False) -> float:
    """Mean light from the ground below."""
    return float(radiance(view, ORIGIN, DOWN, weather, lights, 0.002, mirrors)[0].mean())


def weather(condition: str) -> Weather:
    drawn = make_weather(condition, np.random.SeedSequence(1))
    return replace(drawn, sun=np.float32([0, 0, 1]))


def test_a_roof_casts_a_shadow_in_the_sun_only() -> None:
    sun, cloud = weather("sun"), weather("cloud")
    assert light(snapshot(GROUND, ROOF), sun) < 0.6 * light(snapshot(GROUND), sun)
    assert light(snapshot(GROUND, ROOF), cloud) == light(snapshot(GROUND), cloud)


def test_a_lamp_lights_the_ground_at_night() -> None:
    lamp = DARK._replace(lamps=np.float32([[0, 0, 6.5]]))
    assert light(snapshot(GROUND), weather("night"), lamp) > 5 * light(
        snapshot(GROUND), weather("night")
    )


def test_headlights_light_what_is_ahead() -> None:
    wall = box((1, 20, 6), (15, 0, 0), Appearance(0, M["plain"]))
    ahead, start = np.float32([[1, 0, 0]]), np.zeros((1, 3), np.float32)
    on = Lights(DARK.lamps, np.float32([0, 0, 0.7]), np.float32([1, 0, 0]))
    night = weather("night")
    lit = radiance(snapshot(wall), start, ahead, night, on, 0.002)[0].mean()
    unlit = radiance(snapshot(wall), start, ahead, night, DARK, 0.002)[0].mean()
    assert lit > 3 * unlit


def test_in_fog_far_surfaces_take_the_colour_of_the_air() -> None:
    fog = weather("fog")
    far = np.float32([[0, 0, 400]])
    color = radiance(snapshot(GROUND), far, DOWN, fog, DARK, 0.002)[0][0]
    assert np.allclose(color, fog.air, rtol=0.01)


def test_a_wet_road_reflects_the_wall_behind_it() -> None:
    rain = weather("rain")
    glowing = box((1, 40, 40), (30, 0, 0), Appearance(0, M["plain"], (1, 1, 1), 5.0))
    direction = np.float32([[1, 0, -0.2]])
    direction /= np.linalg.norm(direction)
    road = snapshot(GROUND, glowing)
    start = np.float32([[0, 0, 1.5]])
    wet = radiance(road, start, direction, rain, DARK, 0.002, True)[0].mean()
    dull = radiance(road, start, direction, rain, DARK, 0.002, False)[0].mean()
    assert wet > 1.5 * dull


def test_surfaces_face_the_viewer_and_lie_where_rays_end() -> None:
    view = snapshot(GROUND)
    hits = view.trace(ORIGIN, DOWN)
    seen = surfaces(view, ORIGIN, DOWN, hits, 0.002)
    assert np.allclose(seen.point, [[0, 0, 0]], atol=1e-4)
    assert np.allclose(seen.normal, [[0, 0, 1]]) and seen.distance[0] == pytest.approx(5.0)
    assert seen.facing[0] == pytest.approx(1.0) and seen.material[0] == M["asphalt"]
