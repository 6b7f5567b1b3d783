"""How far off measurements of a moving vehicle are in the image, with and without compensation.

On simulated drives, whose truth is known: LiDAR and depth that are measured before the camera's
image, whole turns of a LiDAR, LiDAR and depth that are held. `python -m any2seg_ros.bench.motion
BAG FRAME` compares a recorded bag with its own images instead: FRAME is fixed in the world, and
edges of the LiDAR should lie on edges of the image.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros import messages
from any2seg_ros.bags.writer import quaternion
from any2seg_ros.bench.figures import best_ms, percentiles
from any2seg_ros.messages.point_times import AUTO, point_times
from any2seg_ros.preprocessing import PreprocessingConfig, camera_models
from any2seg_ros.preprocessing.motion import Link, TfTrajectory, moved_to, warm_up
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.runtime.pipeline import Preparation, Prepared
from any2seg_ros.simulation.bag import EPOCH, Recording, write_bag
from any2seg_ros.simulation.scene import Scene, SceneSpec
from any2seg_ros.simulation.settings import EventSettings, LidarSettings, SensorSettings
from any2seg_ros.types import Camera, Measurement, Modality

SECTION = "motion"
_FRAMES, _SIZE = 10, (1280, 720)
_NEAREST = 3.0
"""m from the camera, below which nothing is compared."""
_POINTS, _REPEATS = 114_000, 40
_LIDAR = LidarSettings(sector=360.0, columns=1024, beams=48)
_SETTINGS = SensorSettings(lidar=_LIDAR, event=EventSettings(width=64, height=36))
_WIDE = {"lidar.window": 0.06, "depth.window": 0.06}
_HOLD = {"lidar.hold": 0.5, "depth.hold": 0.5, "lidar.window": 0.02, "depth.window": 0.02}
DRIVES: Mapping[str, tuple[Recording, dict[str, Any], int]] = {
    "50 ms before the image": (Recording(50.0, False, -0.05, -0.05), _WIDE, 1),
    "whole turns, raw": (Recording(50.0, True), {}, 1),
    "whole turns, raw, 50 ms before the image": (Recording(50.0, True, -0.05, -0.05), _WIDE, 1),
    "one in four, held": (Recording(50.0), _HOLD, 4),
}  # fmt: skip
"""By name: how it is recorded, parameters, and which of the measurements are kept."""


def run() -> dict[str, Any]:
    """px by drive and sensor, off and on; CPU ms of a sweep of 114 000 points."""
    with tempfile.TemporaryDirectory() as folder:
        drives = {
            name: _drive(Path(folder) / str(number), *how)
            for number, (name, how) in enumerate(DRIVES.items())
        }
    return {"px": drives, "ms": _cost()}


def _drive(
    bag: Path, recording: Recording, values: dict[str, Any], every: int
) -> dict[str, dict[str, dict[str, float]]]:
    scene = Scene(SceneSpec("test", 4, "cloud", frames=_FRAMES, size=_SIZE), _SETTINGS)
    write_bag(bag, scene, recording=recording)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, fixed in (("off", ""), ("on", "odom")):
        errors: dict[str, list[np.ndarray]] = {"lidar": [], "depth": []}
        for prepared in prepare(bag, {**values, "motion_compensation": fixed}, every):
            for modality in (Modality.LIDAR, Modality.DEPTH):
                if modality in prepared.frame.measurements:
                    errors[modality.label].append(_errors(scene, prepared, modality))
        for sensor, parts in errors.items():
            found.setdefault(sensor, {})[name] = _summary(np.concatenate(parts))
    return found


def _summary(errors: np.ndarray) -> dict[str, float]:
    return {"mean": round(float(errors.mean()), 2), **percentiles(errors, (50, 95, 99), 2)}


def prepare(bag: Path, values: Mapping[str, Any], every: int = 1) -> Iterator[Prepared]:
    """The frames of a bag as the node prepares them, of depth and LiDAR one message of `every`."""
    parameters = from_values(values)
    preparation = Preparation((320, 192), PreprocessingConfig(), parameters.pipeline_config())
    counts = dict.fromkeys(Modality, 0)

    def thinned(modality: Modality, message: Any) -> Any:
        counts[modality] += 1
        kept = modality in (Modality.RGB, Modality.EVENT) or counts[modality] % every == 1 % every
        return message if kept else None

    player = BagPlayer(bag, preparation, parameters=parameters)
    for step in player.frames(thinned):
        if step.frame is not None:
            yield preparation.prepare(step.frame)


def _errors(scene: Scene, prepared: Prepared, modality: Modality) -> np.ndarray:
    """px between where points are drawn and where they are, in view and not too near."""
    measurement, received = prepared.frame.measurements[modality], prepared.received[modality]
    assert isinstance(measurement.data, np.ndarray)
    base_from = scene.rig.base_from_lidar
    if modality == Modality.LIDAR:
        sweep = messages.decode_sweep(received.body, None, AUTO, received.stamp)
        points, drawn = sweep.points[:, :3], measurement.data[:, :3]
        times = np.zeros(len(points)) if sweep.times is None else sweep.times
    else:
        base_from = scene.rig.base_from_depth
        points = drawn = _points(measurement)
        times = np.zeros(len(points))
    pose = measurement.reference_from_sensor
    drawn = drawn @ pose[:3, :3].T + pose[:3, 3]
    true = _true(scene, points, received.stamp, times, prepared.frame.stamp, base_from)
    return _apart(drawn, true, scene.rig.rgb)


def _true(
    scene: Scene, points: np.ndarray, stamp: int, times: np.ndarray, to: int, base_from: np.ndarray
) -> np.ndarray:
    """Points (n, 3) of a sensor at their times in the camera's frame at the time `to`."""

    def world_from_base(nanoseconds: float) -> np.ndarray:
        return scene.drive.world_from_base((nanoseconds - EPOCH) * 1e-9)

    moments, which = np.unique(times, return_inverse=True)
    camera = np.linalg.inv(world_from_base(to) @ scene.rig.base_from_rgb)
    poses = np.stack(
        [camera @ world_from_base(stamp + float(t) * 1e9) @ base_from for t in moments]
    )
    poses = poses[which]
    return np.einsum("nij,nj->ni", poses[:, :3, :3], points) + poses[:, :3, 3]


def _points(depth: Measurement) -> np.ndarray:
    """float64 (n, 3), some of the points of a depth image in its camera's frame, m."""
    assert depth.camera is not None and isinstance(depth.data, np.ndarray)
    metres = depth.data[::4, ::4].astype(float)
    metres *= 1e-3 if depth.data.dtype == np.uint16 else 1.0
    a, b = camera_models.rays(depth.camera)[:, ::4, ::4]
    points = np.stack([a * metres, b * metres, metres], -1).reshape(-1, 3)
    return points[np.isfinite(points).all(1) & (points[:, 2] > 0)]


def _apart(drawn: np.ndarray, true: np.ndarray, camera: Camera) -> np.ndarray:
    """px between points (n, 3) in a camera's frame, of those that it sees and that are not near."""
    far = (true[:, 2] > _NEAREST) & (drawn[:, 2] > _NEAREST / 2)
    rays = [points[far, :2] / points[far, 2:] for points in (drawn, true)]
    seen = np.max([np.hypot(*one.T) for one in rays], 0) <= camera_models.field_of_view(camera)
    (a, b), (u, v) = (camera_models.pixels(one[seen, 0], one[seen, 1], camera) for one in rays)
    inside = (u > -0.5) & (u < camera.width - 0.5) & (v > -0.5) & (v < camera.height - 0.5)
    return np.hypot(a - u, b - v)[inside]


def _cost() -> dict[str, float]:
    """Best CPU ms of what a sweep costs besides its decoding and projection."""
    warm_up()
    scene = Scene(SceneSpec("test", 4, "cloud", frames=1, size=(64, 48)), _SETTINGS)
    rng = np.random.default_rng(0)
    way = _trajectory(scene)
    stamp = scene.stamp(1.0)
    cloud = np.zeros(
        _POINTS, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("i", "<f4"), ("t", "<u4")]
    )
    for name in ("x", "y", "z"):
        cloud[name] = rng.uniform(-40, 40, _POINTS)
    cloud["t"] = np.sort(rng.integers(0, 100_000_000, _POINTS))
    points = cloud.view(np.float32).reshape(_POINTS, 5)[:, :4].copy()
    pose = scene.rig.reference_from(scene.rig.base_from_lidar)
    times = point_times(cloud["t"], "t", stamp)
    sweep = Measurement(Modality.LIDAR, stamp, points, None, pose, times=times)
    whole = Measurement(Modality.LIDAR, stamp, points, None, pose)
    to, camera = stamp + 50_000_000, scene.rig.rgb
    best = partial(best_ms, repeats=_REPEATS)
    return {
        "read times": best(lambda: point_times(cloud["t"], "t", stamp)),
        "move point by point": best(lambda: moved_to(sweep, way, stamp, to, camera, 1.0)),
        "move as a whole": best(lambda: moved_to(whole, way, stamp, to, camera, 1.0)),
        "beside: copy the points": best(points.copy),
    }


def _trajectory(scene: Scene) -> TfTrajectory:
    """The drive of a scene as /tf at 50 Hz tells it."""

    def link(name: str, seconds: np.ndarray, poses: list[np.ndarray], static: bool) -> Link:
        rows = [[*pose[:3, 3], *quaternion(pose[:3, :3])] for pose in poses]
        stamps = [scene.stamp(t) for t in seconds]
        return Link(name, np.array(stamps), np.array(rows), static)

    camera = link("camera", np.zeros(1), [scene.rig.base_from_rgb], True)
    seconds = np.arange(0.5, 1.6, 0.02)
    poses = [scene.drive.world_from_base(t) for t in seconds]
    return TfTrajectory((camera, link("base_link", seconds, poses, False)), ())


# Recorded bags: LiDAR against images.

_OFFSETS = (-0.07, -0.035, 0.0, 0.035)
"""s that are added to the LiDAR's stamps, for comparison: with compensation, agreement should be
best at what is right."""
_BLUR, _DECAY, _NEAR = 2.0, 0.9, 0.7
"""px by which images are blurred; how an edge fades px by px, and how much what is near it counts.
"""


def compare(bag: Path, fixed: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """How well edges of the LiDAR lie on edges of the image: scores, see `edge_score`.

    off, on: means over frames. moved_px: how far points are moved, mean over frames. gain: of on
    over off, mean and its standard error, and in how many of the frames there was one. offsets:
    means with a wrong time of the LiDAR.
    """
    rows = []
    compensated = {**values, "motion_compensation": fixed}
    for (stamp, off), (same, on) in zip(_pairs(bag, values), _pairs(bag, compensated), strict=True):
        assert stamp == same
        moved = _apart(_in_reference(on[1]), _in_reference(off[1]), off[2])
        rows.append((edge_score(*off), edge_score(*on), float(moved.mean())))
    before, after, moved_px = np.array(rows).T
    gains = after / before - 1
    return {
        "frames": len(rows),
        "off": round(float(before.mean()), 4),
        "on": round(float(after.mean()), 4),
        "moved_px": round(float(moved_px.mean()), 2),
        "gain": {
            "mean": round(float(gains.mean()), 4),
            "standard_error": round(float(gains.std(ddof=1) / np.sqrt(len(gains))), 4),
            "frames": int((gains > 0).sum()),
        },
        "offsets": {str(offset): _mean_score(bag, compensated, offset) for offset in _OFFSETS},
    }


def _in_reference(lidar: Measurement) -> np.ndarray:
    assert isinstance(lidar.data, np.ndarray)
    pose = lidar.reference_from_sensor
    return lidar.data[:, :3] @ pose[:3, :3].T + pose[:3, 3]


def _mean_score(bag: Path, values: Mapping[str, Any], offset: float) -> float:
    """With an offset (s) of the LiDAR's stamps."""
    wrong = {**values, "lidar.offset": offset, "lidar.window": 0.06 + abs(offset)}
    return round(float(np.mean([edge_score(*pair) for _, pair in _pairs(bag, wrong)])), 4)


def _pairs(
    bag: Path, values: Mapping[str, Any]
) -> Iterator[tuple[int, tuple[np.ndarray, Measurement, Camera]]]:
    """By stamp: image and cloud of the frames that have both, and the reference camera."""
    for prepared in prepare(bag, values):
        used, reference = prepared.frame.measurements, prepared.calibration.reference
        if Modality.RGB not in used or Modality.LIDAR not in used or reference is None:
            continue
        yield prepared.frame.stamp, (used[Modality.RGB].data, used[Modality.LIDAR], reference)


def edge_map(image: np.ndarray) -> np.ndarray:
    """float32 (h, w): how near each pixel is to upright edges, and how strong they are.

    After Levinson and Thrun, Automatic Online Calibration of Cameras and Lasers (RSS 2013); upright
    ones alone, for the points of a ring lie beside each other.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    grey = cv2.GaussianBlur(grey, (0, 0), _BLUR).astype(np.float32)
    edges = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0))
    near, beside = edges.copy(), np.ones((1, 3), np.uint8)
    for _ in range(30):  # px beyond which nothing is left of an edge
        near = np.maximum(near, _DECAY * cv2.dilate(near, beside))
    return (1 - _NEAR) * edges + _NEAR * near


def edge_score(image: np.ndarray, lidar: Measurement, camera: Camera) -> float:
    """Mean of `edge_map` where the LiDAR sees something end in front of something farther.

    Neighbours are those of the cloud's order, in which drivers send firing after firing.
    """
    assert isinstance(lidar.data, np.ndarray)
    points, weights = edges_of(lidar.data)
    pose = lidar.reference_from_sensor
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32).T
    index, pixel = camera_models.project(x, y, z, camera)
    near = edge_map(image).ravel()[pixel]
    return float((near * weights[index]).sum() / weights[index].sum())


def edges_of(cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points float64 (m, 3) of a cloud (n, 4) beside which the range leaps away, and by how much.

    Of neighbours on a cone of the same elevation: rings are found by it.
    """
    xyz = cloud[:, :3].astype(float)
    distance = np.linalg.norm(xyz, axis=1)
    elevation = np.degrees(np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1])))
    azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
    order = np.lexsort((azimuth, np.round(elevation / 0.3)))
    r, a = distance[order], azimuth[order]
    behind = np.full((2, len(r)), 0.0)
    beside = np.abs(np.diff(a)) < np.radians(1.0)
    behind[0, :-1] = np.where(beside, r[1:] - r[:-1], 0.0)
    behind[1, 1:] = np.where(beside, r[:-1] - r[1:], 0.0)
    leap = behind.max(0)
    chosen = leap > np.maximum(0.5, 0.05 * r)
    return xyz[order][chosen], np.sqrt(np.minimum(leap[chosen], 10.0))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(json.dumps(run(), indent=2))
    else:
        print(json.dumps(compare(Path(sys.argv[1]), sys.argv[2], {}), indent=2))
