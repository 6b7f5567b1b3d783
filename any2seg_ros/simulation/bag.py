"""Writes a drive as a bag, as a vehicle's recorder would, with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.bags import BagWriter
from any2seg_ros.preprocessing.events import concatenate
from any2seg_ros.simulation import evt3
from any2seg_ros.simulation.scene import (
    EPOCH,
    MANIFEST,
    SETTLE,
    VERSION,
    Capture,
    Scene,
    SceneSpec,
)
from any2seg_ros.simulation.sensors import Sweep
from any2seg_ros.simulation.settings import SensorSettings
from any2seg_ros.types import Events

PACKET = 10_000_000
"""Duration of an event packet, ns."""
TICK_US = 1000
"""Resolution of event times in bags, us."""
_STEPS = 64
"""Quantization of clouds, steps per metre: finer than the LiDAR's noise, and compresses well."""
# Delay from stamp to arrival, ns.
_RGB, _DEPTH, _LIDAR, _EVENT, _TRUTH = 8_000_000, 12_000_000, 18_000_000, 1_000_000, 20_000_000
_ODOMETRY = 15_000_000


@dataclass(frozen=True)
class Recording:
    """How a drive is recorded: as it is easiest to use, or as vehicles do it.

    odometry: Hz at which /tf tells where base_link is in odom, 0 for never. raw_sweeps: points are
    in the LiDAR's frame at their own time, which the field `time` has in s after the stamp, instead
    of at the stamp. lidar_lag, depth_lag: s by which the sensor measures after the camera.
    """

    odometry: float = 0.0
    raw_sweeps: bool = False
    lidar_lag: float = 0.0
    depth_lag: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.odometry <= 1000:
            raise ValueError("--odometry must be from 0 to 1000 Hz")
        for name in ("lidar", "depth"):
            if not abs(getattr(self, f"{name}_lag")) <= SETTLE / 2:
                raise ValueError(f"--{name}-lag must be from -{SETTLE / 2} to {SETTLE / 2} s")


EASY = Recording()


def made_from(spec: SceneSpec, settings: SensorSettings, recording: Recording = EASY) -> dict:
    """The arguments that determine a scene's bag, as JSON types."""
    content = {"format": "bag", "version": VERSION, "scene": asdict(spec)}
    if recording != EASY:
        content["recording"] = asdict(recording)
    return json.loads(json.dumps({**content, "sensors": asdict(settings)}))


def write_bag(
    folder: Path,
    scene: Scene,
    progress: Callable[[int, int], None] | None = None,
    recording: Recording = EASY,
) -> None:
    """Write the drive of a scene as a bag, with `made_from` in a file beside it.

    FileExistsError if the folder exists.
    """
    spec, rig = scene.spec, scene.rig
    made = made_from(spec, scene.settings, recording)
    beside = {MANIFEST: json.dumps(made, indent=2) + "\n"}
    with BagWriter(folder, beside) as bag:
        first = scene.stamp(spec.seconds(0)) - round(1e9 / spec.rate)
        poses = {
            "rgb_camera_optical": rig.base_from_rgb,
            "depth_camera_optical": rig.base_from_depth,
            "event_camera_optical": rig.base_from_event,
            "lidar": rig.base_from_lidar,
        }
        bag.transforms(first, poses)
        _write_odometry(bag, scene, recording.odometry)
        for number, capture in enumerate(scene.captures()):
            begin = capture.stamp - round(1e9 / spec.rate)
            _write_events(bag, scene, capture.events, begin, capture.stamp)
            _write_capture(bag, scene, _delayed(scene, number, capture, recording), recording)
            # What is measured before the camera is recorded with the camera's next image.
            early = max(0.0, -recording.lidar_lag, -recording.depth_lag)
            bag.flush(capture.stamp - round(1e9 * early))
            if progress:
                progress(number + 1, spec.frames)


def _write_odometry(bag: BagWriter, scene: Scene, rate: float) -> None:
    """Where the vehicle is, from somewhat before the first frame to somewhat after the last."""
    if not rate:
        return
    end = scene.spec.seconds(scene.spec.frames)
    for k in range(int(rate * (end + SETTLE))):
        bag.odometry(scene.stamp(k / rate), scene.drive.world_from_base(k / rate), _ODOMETRY)


def _delayed(scene: Scene, number: int, capture: Capture, recording: Recording) -> Capture:
    """The capture with what sensors measure that are not triggered with the camera."""
    if recording.lidar_lag:
        capture = replace(capture, cloud=scene.sweep(number, recording.lidar_lag))
    if recording.depth_lag:
        depth, true = scene.depth(number, recording.depth_lag)
        capture = replace(capture, depth=depth, true_depth=true)
    return capture


def raw_points(scene: Scene, seconds: float, sweep: Sweep) -> np.ndarray:
    """The points float32 (n, 4) of a sweep at `seconds`, each where the LiDAR saw it then."""
    times, column = np.unique(sweep.time, return_inverse=True)
    lidar = scene.rig.base_from_lidar
    stamped = scene.drive.world_from_base(seconds) @ lidar
    back = np.stack(
        [np.linalg.inv(scene.drive.world_from_base(seconds + t) @ lidar) @ stamped for t in times]
    )[column]
    points = sweep.points.copy()
    points[:, :3] = np.einsum("nij,nj->ni", back[:, :3, :3], sweep.points[:, :3]) + back[:, :3, 3]
    return points


def _write_capture(bag: BagWriter, scene: Scene, capture: Capture, recording: Recording) -> None:
    stamp, rig = capture.stamp, scene.rig
    later = stamp + round(1e9 * recording.depth_lag)
    bag.compressed_image(
        "/rgb/image/compressed",
        stamp,
        "rgb_camera_optical",
        _jpeg(scene, capture.rgb),
        "jpeg",
        _RGB,
    )
    bag.camera_info("/rgb/camera_info", stamp, "rgb_camera_optical", rig.rgb, _RGB)
    bag.compressed_depth(
        "/depth/image/compressedDepth",
        later,
        "depth_camera_optical",
        _small_png(capture.depth),
        _DEPTH,
    )
    bag.camera_info("/depth/camera_info", later, "depth_camera_optical", rig.depth, _DEPTH)
    _write_cloud(bag, scene, capture, recording)
    bag.compressed_image(
        "/ground_truth/label/compressed",
        stamp,
        "rgb_camera_optical",
        _small_png(capture.labels),
        "mono8; png compressed mono8",
        _TRUTH,
    )


def _write_cloud(bag: BagWriter, scene: Scene, capture: Capture, recording: Recording) -> None:
    cloud, stamp = capture.cloud, capture.stamp + round(1e9 * recording.lidar_lag)
    points = cloud.points
    if recording.raw_sweeps:
        points = raw_points(scene, (stamp - EPOCH) * 1e-9, cloud)
    columns = {
        name: np.rint(points[:, k] * _STEPS) / np.float32(_STEPS)
        for k, name in enumerate(("x", "y", "z"))
    }
    columns["intensity"] = np.rint(cloud.points[:, 3] * 255).astype(np.uint8)
    columns["ring"] = cloud.ring
    if recording.raw_sweeps:
        columns["time"] = cloud.time.astype(np.float32)
    bag.cloud("/lidar/points", stamp, "lidar", columns, _LIDAR)


def _small_png(image: np.ndarray) -> bytes:
    """A PNG without filters, which suits quantized disparities and labels."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, 0]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    done, data = cv2.imencode(".png", image, options)
    if not done:
        raise OSError("image encoding failed")
    return data.tobytes()


def _jpeg(scene: Scene, rgb: np.ndarray) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, scene.settings.rgb.jpeg_quality]
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], quality)
    if not done:
        raise OSError("image encoding failed")
    return data.tobytes()


def _write_events(bag: BagWriter, scene: Scene, events: Events, begin: int, end: int) -> None:
    camera = scene.rig.event
    for start in range(begin, end, PACKET):
        stop = min(start + PACKET, end)
        data = evt3.encode(concatenate([events], start, stop), start, EPOCH, TICK_US)
        size = (camera.width, camera.height)
        bag.event_packet("/event/packets", stop, "event_camera_optical", size, data, delay=_EVENT)
    bag.camera_info("/event/camera_info", end, "event_camera_optical", camera, _EVENT)
