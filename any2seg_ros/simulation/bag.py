"""Writes a drive as a bag, as a vehicle's recorder would, with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros.bags import BagWriter
from any2seg_ros.preprocessing.events import concatenate
from any2seg_ros.simulation import evt3
from any2seg_ros.simulation.scene import EPOCH, MANIFEST, VERSION, Capture, Scene, SceneSpec
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


def made_from(spec: SceneSpec, settings: SensorSettings) -> dict:
    """The arguments that determine a scene's bag, as JSON types."""
    content = {"format": "bag", "version": VERSION, "scene": asdict(spec)}
    return json.loads(json.dumps({**content, "sensors": asdict(settings)}))


def write_bag(
    folder: Path, scene: Scene, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the drive of a scene as a bag, with `made_from` in a file beside it.

    FileExistsError if the folder exists.
    """
    spec, rig = scene.spec, scene.rig
    beside = {MANIFEST: json.dumps(made_from(spec, scene.settings), indent=2) + "\n"}
    with BagWriter(folder, beside) as bag:
        first = scene.stamp(spec.seconds(0)) - round(1e9 / spec.rate)
        poses = {
            "rgb_camera_optical": rig.base_from_rgb,
            "depth_camera_optical": rig.base_from_depth,
            "event_camera_optical": rig.base_from_event,
            "lidar": rig.base_from_lidar,
        }
        bag.transforms(first, poses)
        for number, capture in enumerate(scene.captures()):
            begin = capture.stamp - round(1e9 / spec.rate)
            _write_events(bag, scene, capture.events, begin, capture.stamp)
            _write_capture(bag, scene, capture)
            bag.flush(capture.stamp)
            if progress:
                progress(number + 1, spec.frames)


def _write_capture(bag: BagWriter, scene: Scene, capture: Capture) -> None:
    stamp, rig = capture.stamp, scene.rig
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
        stamp,
        "depth_camera_optical",
        _small_png(capture.depth),
        _DEPTH,
    )
    bag.camera_info("/depth/camera_info", stamp, "depth_camera_optical", rig.depth, _DEPTH)
    cloud = capture.cloud
    columns = {
        name: np.rint(cloud.points[:, k] * _STEPS) / np.float32(_STEPS)
        for k, name in enumerate(("x", "y", "z"))
    }
    columns["intensity"] = np.rint(cloud.points[:, 3] * 255).astype(np.uint8)
    columns["ring"] = cloud.ring
    bag.cloud("/lidar/points", stamp, "lidar", columns, _LIDAR)
    bag.compressed_image(
        "/ground_truth/label/compressed",
        stamp,
        "rgb_camera_optical",
        _small_png(capture.labels),
        "mono8; png compressed mono8",
        _TRUTH,
    )


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
