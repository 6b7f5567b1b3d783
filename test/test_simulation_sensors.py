"""Camera, stereo depth and LiDAR agree with each other and with the truth, within their noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from simulated_street import make

from any2seg_ros.simulation import sensors
from any2seg_ros.simulation.scene import Capture, Scene
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import IGNORE


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make()


@pytest.fixture(scope="module")
def capture(scene: Scene) -> Capture:
    return scene.capture(0)


def depth_sigma(z: np.ndarray, scene: Scene) -> np.ndarray:
    """Standard deviation of stereo depth: disparity noise through z = f b / d."""
    depth = scene.settings.depth
    noise = depth.disparity_noise * np.hypot(0.9, 0.6)
    return z * z / (scene.rig.depth.fx * depth.baseline) * noise


def test_lidar_points_hit_pixels_of_their_depth(scene: Scene, capture: Capture) -> None:
    depth_from_lidar = np.linalg.inv(scene.rig.base_from_depth) @ scene.rig.base_from_lidar
    points = capture.cloud.points[:, :3] @ depth_from_lidar[:3, :3].T + depth_from_lidar[:3, 3]
    camera = scene.rig.depth
    z = points[:, 2]
    ahead = z > 1.0
    points, z = points[ahead], z[ahead]
    u = np.rint(points[:, 0] / z * camera.fx + camera.cx).astype(int)
    v = np.rint(points[:, 1] / z * camera.fy + camera.cy).astype(int)
    inside = (u > 0) & (u < camera.width - 1) & (v > 0) & (v < camera.height - 1)
    u, v, z = u[inside], v[inside], z[inside]
    near = cv2.erode(capture.true_depth, np.ones((3, 3), np.uint8))[v, u]
    far = cv2.dilate(capture.true_depth, np.ones((3, 3), np.uint8))[v, u]
    # A surface is visible where nothing stands clearly before it in the camera's view.
    visible = z < far + np.maximum(1.0, 6 * depth_sigma(z, scene))
    limit = 3 * np.hypot(depth_sigma(z, scene), scene.settings.lidar.noise)
    agree = (z > near - limit) & (z < far + limit)
    assert visible.sum() > 2000
    assert agree[visible].mean() >= 0.99


def test_stereo_depth_is_within_three_sigma_of_the_truth(scene: Scene, capture: Capture) -> None:
    true, found = capture.true_depth, capture.depth / 1000.0
    level = np.where(np.isfinite(true), true, np.float32(1e6))
    flat = cv2.dilate(level, np.ones((5, 5))) - cv2.erode(level, np.ones((5, 5))) < 0.05 * level
    at = (found > 0) & flat & np.isfinite(true)
    error = np.abs(found - true)[at]
    step = true[at] ** 2 / (scene.rig.depth.fx * scene.settings.depth.baseline) / 16
    assert at.mean() > 0.2
    assert (error < 3 * depth_sigma(true[at], scene) + step).mean() > 0.98


def test_lidar_labels_agree_with_the_picture(scene: Scene, capture: Capture) -> None:
    matrix = scene.rig.reference_from(scene.rig.base_from_lidar)
    points = capture.cloud.points[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
    camera = scene.rig.rgb
    ahead = points[:, 2] > 1.0
    points, labels = points[ahead], capture.cloud.labels[ahead]
    u = np.rint(points[:, 0] / points[:, 2] * camera.fx + camera.cx).astype(int)
    v = np.rint(points[:, 1] / points[:, 2] * camera.fy + camera.cy).astype(int)
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    agree = capture.labels[v[inside], u[inside]] == labels[inside]
    assert agree.mean() > 0.85


def test_depth_has_holes_in_the_sky_and_nowhere_else_only(capture: Capture) -> None:
    sky = ~np.isfinite(capture.true_depth)
    assert (capture.depth[sky] == 0).all()
    near = np.isfinite(capture.true_depth) & (capture.true_depth < 20)
    assert 0.005 < (capture.depth[near] == 0).mean() < 0.4


def test_fog_thins_the_cloud_and_hides_what_is_far() -> None:
    clear, fog = make("cloud"), make("fog")
    near, far = clear.capture(0), fog.capture(0)
    assert np.array_equal(near.labels, far.labels)
    real = far.cloud.labels != IGNORE
    assert 0 < real.sum() < 0.95 * len(near.cloud.points)
    assert (~real).sum() > 20
    distant = np.isfinite(far.true_depth) & (near.true_depth > 40)
    assert (far.depth[distant] > 0).mean() < 0.6 * max((near.depth[distant] > 0).mean(), 1e-6)


def test_lidarjitter_moves_points_off_their_surfaces() -> None:
    def spread(failure: str) -> float:
        scene = make("cloud", failure)
        cloud = scene.capture(0).cloud
        ground = (cloud.labels == DELIVER.id("Road")) & (cloud.points[:, 0] < 12)
        points = cloud.points[ground, :3].astype(np.float64)
        plane = np.c_[points[:, :2], np.ones(len(points))]
        fit = np.linalg.lstsq(plane, points[:, 2], rcond=None)[0]
        return float((points[:, 2] - plane @ fit).std())

    assert spread("lidarjitter") > 1.5 * spread("")


def test_night_is_dark_but_for_lamps(scene: Scene) -> None:
    night = make("night")
    pose = night.drive.world_from_base(1.0) @ night.rig.base_from_rgb
    view = sensors.render(
        night.snapshot(1.0), night.rig.rgb, pose, night.weather, night.lights(1.0), False
    )
    luminance = view.light @ sensors.LUMINANCE
    assert np.median(luminance) < 0.1
    assert luminance.max() > 0.5
