"""How a sensor turned, of scenes that were turned by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.inspection.turning import (
    CloudTurns,
    ImageTurns,
    depth_points,
    rotation,
    vector,
)
from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import Camera

CAMERA = Camera(640, 400, 480.0, 480.0, 319.5, 199.5)
FISHEYE = Camera(640, 400, 300.0, 300.0, 319.5, 199.5, (0.02, -0.01, 0.0, 0.0), "equidistant")
TURNS = [(0.006, 0.0, 0.0), (0.0, -0.012, 0.0), (0.003, 0.004, -0.008), (0.0, 0.0, 0.0)]


def texture() -> np.ndarray:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (312, 500), np.uint8).astype(np.float32)
    return cv2.resize(cv2.GaussianBlur(image, (0, 0), 1.5), (4000, 2500))


def seen(camera: Camera, turned: np.ndarray, moved: tuple[float, float, float] = (0, 0, 0)):
    """A road 2 m below and a house 12 m ahead, of a camera that turned (camera from world)."""
    a, b = camera_models.rays(camera)
    ray = turned.T @ np.stack([a.ravel(), b.ravel(), np.ones(a.size)])
    house = (12 - moved[2]) / ray[2]
    road = np.where(ray[1] > 1e-6, (2 - moved[1]) / np.maximum(ray[1], 1e-6), np.inf)
    x, y, z = ray * np.minimum(house, road) + np.reshape(moved, (3, 1))
    v = 1200 + 140 * (y + 12 - z)  # one picture, which is bent where they meet
    maps = [m.reshape(camera.height, camera.width).astype(np.float32) for m in (2000 + 140 * x, v)]
    image = cv2.remap(texture(), *maps, cv2.INTER_LINEAR)
    return np.repeat(np.clip(image * 2 - 128, 0, 255).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize("camera", [CAMERA, FISHEYE])
@pytest.mark.parametrize("turn", TURNS)
def test_a_camera_s_turn_is_seen_while_it_drives(camera, turn):
    turns = ImageTurns(camera)
    assert turns.turn(seen(camera, np.eye(3))) is None
    found = turns.turn(seen(camera, rotation(np.array(turn)), (0.02, 0.0, 0.5)))
    np.testing.assert_allclose(found, turn, atol=1e-3)


def test_an_image_without_corners_has_no_turn():
    turns = ImageTurns(CAMERA)
    grey = np.full((400, 640), 90, np.uint8)
    assert turns.turn(grey) is None and turns.turn(grey) is None


def street(count: int = 12_000) -> np.ndarray:
    """Points of a road, of two rows of houses and of a house across, m, z up."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(3, 40, count), rng.uniform(-8, 8, count)
    z = rng.uniform(-1.7, 6, count)
    road = np.stack([x, y, np.full(count, -1.7)], 1)
    left, right = (np.stack([x, np.full(count, side), z], 1) for side in (-8.0, 7.5))
    across = np.stack([np.full(count, 41.0), y, z], 1)
    return np.vstack([road, left, right, across])


@pytest.mark.parametrize("turn", TURNS)
def test_a_lidar_s_turn_is_seen_while_it_drives(turn):
    rng = np.random.default_rng(2)
    points = street()
    turned = rotation(np.array(turn))
    before, after = (points[rng.permutation(len(points))[:20_000]] for _ in range(2))
    after = (after - [0.8, 0.1, 0.02]) @ turned.T
    turns = CloudTurns()
    assert turns.turn(before + rng.normal(0, 0.01, before.shape)) is None
    found = turns.turn(after + rng.normal(0, 0.01, after.shape))
    np.testing.assert_allclose(found, turn, atol=6e-4)


def test_clouds_that_do_not_meet_have_no_turn():
    turns = CloudTurns()
    assert turns.turn(street()) is None
    assert turns.turn(np.random.default_rng(0).uniform(5, 20, (50, 4))) is None
    assert turns.turn(np.empty((0, 4))) is None
    assert turns.turn(street()) is None


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_depth_becomes_points(kind):
    depth = np.full((400, 640), 4000 if kind == np.uint16 else 4.0, kind)
    depth[:200] = 0
    depth[300:] = 60_000 if kind == np.uint16 else np.nan
    points = depth_points(depth, CAMERA)
    assert len(points) == 50 * 320 and (points[:, 2] == 4).all()
    u = CAMERA.fx * points[:, 0] / points[:, 2] + CAMERA.cx
    np.testing.assert_allclose(sorted({round(x) for x in u}), np.arange(0, 640, 2))


def test_vectors_are_turns():
    np.testing.assert_allclose(vector(rotation(np.array([0.1, -0.2, 0.3]))), [0.1, -0.2, 0.3])
