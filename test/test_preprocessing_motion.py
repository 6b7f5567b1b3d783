"""Measurements moved to another time, against poses that are known in closed form."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.preprocessing.motion import (
    AHEAD,
    GAP,
    Link,
    NoTrajectory,
    TfTrajectory,
    moved_to,
)
from any2seg_ros.types import Camera, Measurement, Modality

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
REFERENCE = Camera(640, 360, 400.0, 400.0, 319.5, 179.5)
OPTICAL = transform((1.6, 0.0, 1.5), (-0.5, 0.5, -0.5, 0.5))
"""The camera in the vehicle."""
MOUNT = np.linalg.inv(OPTICAL) @ transform((1.0, 0.0, 2.0), (0.0, 0.0, 0.02, 0.9998))
"""The LiDAR in the camera."""


def pose(seconds: float) -> np.ndarray:
    """A vehicle in a bend at 15 m/s, nodding and far from the origin of its map."""
    yaw, pitch = 0.6 * seconds, 0.03 * np.sin(6.0 * seconds)
    turned = cv2.Rodrigues(np.array([0.0, 0.0, yaw]))[0] @ cv2.Rodrigues(np.array([0, pitch, 0]))[0]
    matrix = np.eye(4)
    matrix[:3, :3] = turned
    matrix[:3, 3] = 4e5 + 25 * np.sin(yaw), 5e6 - 25 * np.cos(yaw), 0.1 * seconds
    return matrix


def seven(matrix: np.ndarray) -> np.ndarray:
    """x y z and the quaternion x y z w, of a random sign."""
    rotation = cv2.Rodrigues(matrix[:3, :3])[0].ravel()
    angle = np.linalg.norm(rotation)
    axis = rotation / angle if angle > 1e-12 else np.array([0.0, 0, 1])
    q = np.append(np.sin(angle / 2) * axis, np.cos(angle / 2))
    return np.concatenate([matrix[:3, 3], q if int(1e6 * angle) % 2 else -q])


def link(times: np.ndarray, way=pose, name: str = "base_link") -> Link:
    stamps = START + np.rint(times * 1e9).astype(np.int64)
    return Link(name, stamps, np.stack([seven(way(t)) for t in times]))


CAMERA = Link("camera", np.zeros(1, np.int64), seven(OPTICAL)[None], static=True)


def trajectory(times: np.ndarray, way=pose) -> TfTrajectory:
    return TfTrajectory((CAMERA, link(times, way)), ())


def at(seconds: float) -> int:
    return START + round(seconds * 1e9)


def brute_force(points: np.ndarray, seconds: np.ndarray, to: float) -> np.ndarray:
    """Each point from where the LiDAR was at its time to where it is at another, one by one."""
    base_from_lidar = OPTICAL @ MOUNT
    now = np.linalg.inv(pose(to) @ base_from_lidar)
    rows = [
        (now @ pose(t) @ base_from_lidar @ np.append(p, 1.0))[:3]
        for p, t in zip(points.astype(float), seconds, strict=True)
    ]
    return np.array(rows)


def sweep(seconds: np.ndarray, stamp: float) -> Measurement:
    rng = np.random.default_rng(0)
    points = rng.uniform(-40, 40, (len(seconds), 4)).astype(np.float32)
    points[:20, :3] = rng.uniform(-0.5, 0.5, (20, 3))  # the vehicle itself
    times = (seconds - stamp).astype(np.float32)
    return Measurement(Modality.LIDAR, at(stamp), points, None, MOUNT, times=times)


@pytest.mark.parametrize("rate", [20, 50, 200])
def test_a_sweep_is_moved_point_by_point(rate) -> None:
    seconds = np.random.default_rng(1).uniform(1.0, 1.1, 2000)
    given = sweep(seconds, 1.0)
    way = trajectory(np.arange(0, 2, 1 / rate))
    moved = moved_to(given, way, given.stamp, at(1.06), REFERENCE, 1.0)
    expected = brute_force(given.data[:, :3], seconds, 1.06)
    apart = np.linalg.norm(moved.data[20:, :3] - expected[20:], axis=1)
    assert apart.max() < 0.02 and apart.mean() < 0.006
    assert np.linalg.norm(given.data[20:, :3] - expected[20:], axis=1).mean() > 0.3
    np.testing.assert_array_equal(moved.data[:20], given.data[:20])
    np.testing.assert_array_equal(moved.data[:, 3], given.data[:, 3])
    np.testing.assert_array_equal(moved.reference_from_sensor, MOUNT)
    assert moved.times is None and moved.stamp == given.stamp


def test_a_cloud_without_times_is_moved_as_a_whole() -> None:
    given = Measurement(Modality.LIDAR, at(1.0), sweep(np.full(100, 1.0), 1.0).data, None, MOUNT)
    way = trajectory(np.arange(0, 2, 0.02))
    moved = moved_to(given, way, at(1.0), at(1.05), REFERENCE, 1.0)
    assert moved.moved and moved.data is given.data
    ones = np.ones((100, 1))
    homogeneous = np.concatenate([given.data[:, :3], ones], 1)
    found = homogeneous @ moved.reference_from_sensor.T
    lidar = brute_force(given.data[:, :3], np.full(100, 1.0), 1.05)
    expected = np.concatenate([lidar, ones], 1) @ MOUNT.T
    assert np.abs(found - expected).max() < 0.005


def test_what_belongs_to_the_frames_time_already_stays_as_it_is() -> None:
    given = Measurement(Modality.LIDAR, at(1.0), np.ones((3, 4), np.float32), None, MOUNT)
    assert moved_to(given, NoTrajectory("none"), at(1.0), at(1.0), REFERENCE, 1.0) is given
    standing = trajectory(np.arange(0, 2, 0.02), lambda t: pose(0.0))
    assert moved_to(given, standing, at(1.0), at(1.1), REFERENCE, 1.0) is given


def test_depth_that_is_registered_gets_the_reference_camera_to_be_moved_in() -> None:
    depth = np.full((180, 320), 8.0, np.float32)
    given = Measurement(Modality.DEPTH, at(1.0), depth)
    moved = moved_to(given, trajectory(np.arange(0, 2, 0.02)), at(1.0), at(1.1), REFERENCE, 1.0)
    assert moved.camera == REFERENCE.resized(320, 180)
    motion = np.linalg.inv(pose(1.1) @ OPTICAL) @ pose(1.0) @ OPTICAL
    assert np.abs(moved.reference_from_sensor - motion).max() < 2e-3


def test_moved_depth_is_seen_from_where_the_camera_is_then() -> None:
    """A wall ahead comes nearer by what was driven."""
    ahead = trajectory(np.arange(0, 2, 0.02), lambda t: transform((10 * t, 0, 0), (0, 0, 0, 1.0)))
    depth = np.full((360, 640), 8.0, np.float32)
    given = Measurement(Modality.DEPTH, at(1.0), depth, REFERENCE)
    moved = moved_to(given, ahead, at(1.0), at(1.1), REFERENCE, 1.0)
    preprocessor = Preprocessor(REFERENCE, (160, 90), PreprocessingConfig())
    nearer = Measurement(Modality.DEPTH, 0, depth - 1.0, REFERENCE)
    middle = np.s_[:, 10:-10, 20:-20]
    np.testing.assert_allclose(
        preprocessor.preprocess_one(moved)[middle],
        preprocessor.preprocess_one(nearer)[middle],
        atol=2e-3,
    )


def test_a_picture_that_was_held_is_turned() -> None:
    """A yaw of 0.1 rad moves what is ahead by 40 px of 640, to the right when turning left."""

    def way(t):
        return transform((0, 0, 0), (0, 0, np.sin(t / 2), np.cos(t / 2)))

    picture = np.zeros((360, 640, 3), np.uint8)
    picture[:, 300:340] = 255
    given = Measurement(Modality.RGB, at(1.0), picture, REFERENCE)
    moved = moved_to(
        given, trajectory(np.arange(0, 2, 0.02), way), at(1.0), at(1.1), REFERENCE, 1.0
    )
    image = Preprocessor(REFERENCE, (640, 360)).preprocess_one(moved)
    assert 358 < np.flatnonzero(image[0, 180] > 1).mean() < 362


def error(way: TfTrajectory, begin: float, end: float) -> str:
    with pytest.raises(LookupError) as caught:
        way.poses(np.array([at(begin), at(end)]))
    return str(caught.value)


def test_poses_are_extrapolated_for_a_moment_and_no_longer() -> None:
    way = trajectory(np.arange(0, 1.001, 0.02))
    found = way.poses(np.array([at(0.9), at(1.1)]))
    expected = pose(1.1) @ OPTICAL
    # 11 m/s2 towards the middle of the bend, and as much time as that.
    assert np.linalg.norm(found[1, :3, 3] - expected[:3, 3]) < 0.12
    turned = cv2.Rodrigues(found[1, :3, :3].T @ expected[:3, :3])[0]
    assert np.linalg.norm(turned) < 0.01
    assert "'base_link' is behind by 0.21 s" in error(way, 0.9, 1.0 + AHEAD * 1e-9 + 0.01)
    assert "begins too late by 0.10 s" in error(way, -0.1, 0.5)


def test_poses_that_jitter_are_extrapolated_over_more_than_the_last_two() -> None:
    rng = np.random.default_rng(0)

    def way(t):
        return transform((10 * t, rng.normal(0, 0.005), 0), (0, 0, 0, 1.0))

    found = trajectory(np.arange(0, 1.001, 0.01), way).poses(np.array([at(1.1)]))
    straight = transform((11.0, 0, 0), (0, 0, 0, 1.0)) @ OPTICAL
    assert np.abs(found[0] - straight).max() < 0.05


def test_gaps_are_not_bridged() -> None:
    longest = GAP * 1e-9
    times = np.array([0.0, 0.1, 0.2, 0.21 + longest, 0.31 + longest])
    assert "has a gap: 0.51 s" in error(trajectory(times), 0.1, 0.4)
    trajectory(times).poses(np.array([at(0.1), at(0.2)]))
    trajectory(times).poses(np.array([at(0.2), at(0.21 + longest)]))  # poses of these very times


def test_jumps_are_no_motion() -> None:
    def way(t):
        return transform((10 * t + (0.5 if t > 0.5 else 0.0), 0, 0), (0, 0, 0, 1.0))

    times = np.arange(0, 1, 0.02)
    assert "jumps by 0.70 m" in error(trajectory(times, way), 0.45, 0.55)
    trajectory(times, way).poses(np.array([at(0.2), at(0.45)]))
    trajectory(times, way).poses(np.array([at(0.55), at(0.9)]))

    def spun(t):
        return transform((10 * t, 0, 0), (0, 0, 0.2, 1.0) if t > 0.5 else (0, 0, 0, 1.0))

    assert "rad" in error(trajectory(times, spun), 0.45, 0.55)


def test_hard_braking_is_no_jump() -> None:
    def way(t):
        return transform((20 * t - (4.5 * (t - 0.5) ** 2 if t > 0.5 else 0), 0, 0), (0, 0, 0, 1.0))

    for rate in (5, 10, 50):
        found = trajectory(np.arange(0, 2, 1 / rate), way).poses(np.array([at(0.4), at(1.2)]))
        assert abs(found[1, 0, 3] - found[0, 0, 3] - (16 - 4.5 * 0.49)) < 0.05


def test_a_sensor_that_is_told_of_on_tf_again_and_again_needs_no_pose_of_that_time() -> None:
    times = np.array([-3.0, -2.0])
    mount = link(times, lambda t: OPTICAL, "camera")
    way = TfTrajectory((mount, link(np.arange(0, 2, 0.02))), ())
    found = way.poses(np.array([at(1.0)]))[0]
    assert np.abs(found - pose(1.0) @ OPTICAL).max() < 0.01


def test_a_fixed_frame_below_the_vehicle_is_fixed_all_the_same() -> None:
    """Some publish base_link -> odom, the inverse of where the vehicle is."""
    times = np.arange(0, 2, 0.005)
    odom = link(times, lambda t: np.linalg.inv(pose(t) - [[0, 0, 0, 4e5], [0, 0, 0, 5e6], [0] * 4, [0] * 4]), "odom")  # fmt: skip  # noqa: E501
    found = TfTrajectory((CAMERA,), (odom,)).poses(np.array([at(0.5), at(1.0)]))
    plain = trajectory(times).poses(np.array([at(0.5), at(1.0)]))
    motion = np.linalg.inv(found[1]) @ found[0]
    assert np.abs(motion - np.linalg.inv(plain[1]) @ plain[0]).max() < 0.01
