"""LiDAR drawn over the camera's image: a wrong transform is seen at once."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np

from any2seg_ros import messages
from any2seg_ros.bags import BagReader
from any2seg_ros.inspection.bag import BagInspection
from any2seg_ros.messages.video import VideoDecoder, picture
from any2seg_ros.preprocessing import camera_models
from any2seg_ros.types import InvalidMeasurement, Modality

WIDTH = 1024
"""px of the picture at most."""
_FAR = 60.0
"""m that are shown as farthest."""
_LOOKED_AT = 60
"""Images among which one is looked for that belongs to a cloud."""


def lidar_over_image(found: BagInspection) -> np.ndarray | None:
    """A cloud over the image nearest to it, uint8 (h, w, 3), R, G, B; None where that cannot be."""
    rgb, lidar = (found.layout.sensors.get(m) for m in (Modality.RGB, Modality.LIDAR))
    calibration = found.calibration
    camera = calibration.cameras.get(Modality.RGB) if calibration else None
    pose = calibration.poses.get(Modality.LIDAR) if calibration else None
    if rgb is None or lidar is None or camera is None or pose is None:
        return None
    try:
        image, stamp = _image(found, rgb)
        cloud = _cloud(found, lidar, stamp)
    except (InvalidMeasurement, ValueError):
        return None
    if image.shape[:2] != (camera.height, camera.width):
        return None
    factor = min(1.0, WIDTH / camera.width)
    size = round(camera.width * factor), round(camera.height * factor)
    view, small = camera.resized(*size), cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        small = np.repeat(small[..., None], 3, axis=2)
    points = cloud[:, :3] @ pose[:3, :3].T + pose[:3, 3]
    x, y, z = points.T.astype(np.float32)
    index, pixel = camera_models.project(x, y, z, view)
    return _drawn(np.ascontiguousarray(small), pixel, z[index])


def _drawn(image: np.ndarray, pixel: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Points of a depth in m as discs, the nearest last; `pixel` is y * width + x."""
    level = (255 * np.clip(1 - depth / _FAR, 0, 1)).astype(np.uint8)
    colors = cv2.applyColorMap(level.reshape(-1, 1), cv2.COLORMAP_JET)[:, 0, ::-1]
    for at in np.argsort(-depth):
        y, x = divmod(int(pixel[at]), image.shape[1])
        cv2.circle(image, (x, y), 1, tuple(int(c) for c in colors[at]), -1)
    return image


def _image(found: BagInspection, topic: str) -> tuple[np.ndarray, int]:
    """A picture from the middle of the bag's beginning, and its stamp."""
    decoder = VideoDecoder()
    last: tuple[np.ndarray, int] | None = None
    with BagReader(found.path) as bag:
        count = min(_LOOKED_AT, found.topics[topic].count)
        for index, recorded in enumerate(islice(bag.messages([topic]), count)):
            msg = recorded.message
            video = messages.is_video(msg)
            wanted = index >= count // 2
            if not (video or wanted):
                continue
            frame = decoder.decode(msg) if video else None
            if wanted:
                pixels = picture(frame) if video else messages.decode_image(msg)
                last = pixels, messages.stamp_ns(msg.header.stamp)
                break
    if last is None:
        raise ValueError("no image")
    return last


def _cloud(found: BagInspection, topic: str, stamp: int) -> np.ndarray:
    """The cloud whose stamp is nearest."""
    stamps = np.asarray(found.topics[topic].stamps)
    nearest = int(np.abs(stamps - stamp).argmin())
    with BagReader(found.path) as bag:
        recorded = next(islice(bag.messages([topic]), nearest, None))
    return messages.decode_cloud(recorded.message)
