"""What other makes of the same sensors measure: laws of intensity, beams, heights, colours.

`share` scales how often each of these happens, from 0 (never) to 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.preprocessing.lidar import preprocess_lidar
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.training.cached_dataset import Cloud
from any2seg_ros.training.window import Window
from any2seg_ros.types import InvalidMeasurement, Measurement, Modality

FEWEST = 200
"""Points that are left of a cloud at least."""


def lidar(
    cloud: Cloud,
    window: Window,
    share: float,
    generator: np.random.Generator,
    config: PreprocessingConfig,
) -> np.ndarray | None:
    """A cloud as another LiDAR would measure it, float32 (3, h, w); None with no point in view."""
    scale = RangeScale(config.range_near, config.range_far, config.height_low, config.height_high)
    points = cloud.points
    if share and len(points) > 2 * FEWEST:
        points = _with_fewer_beams(points, share, generator)
    if share:
        points = points.copy()
        distance = np.linalg.norm(points[:, :3], axis=1)
        points[:, 3] = _intensity(points[:, 3], distance, share, generator)
    pose = cloud.pose if generator.random() >= 0.25 * share else _shaken(cloud.pose, generator)
    measurement = Measurement(Modality.LIDAR, 1, points, None, pose)
    try:
        image = preprocess_lidar(
            measurement,
            window.camera(cloud.view),
            scale,
            config.lidar_minimum_range,
            config.lidar_dilation,
        )
    except InvalidMeasurement:
        return None
    return _from_elsewhere(image, scale, share, generator)


def _with_fewer_beams(
    points: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Some slices of elevation, fewer firings, a smaller field of view, a shorter reach."""
    kept = np.ones(len(points), bool)
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    if generator.random() < 0.7 * share:
        width = np.exp(generator.uniform(np.log(0.5), np.log(3.0)))
        slice_ = max(0.3, generator.uniform(0.2, 0.8) * width)
        kept &= (elevation + generator.uniform(0, width)) % width < slice_
    if generator.random() < 0.5 * share:
        kept &= generator.random(len(points)) < generator.uniform(0.25, 1)
    if generator.random() < 0.35 * share:
        kept &= elevation < generator.uniform(0, 10)
    if generator.random() < 0.1 * share:
        kept &= elevation > generator.uniform(-25, -8)
    if generator.random() < 0.12 * share:
        reach = np.exp(generator.uniform(np.log(25), np.log(100)))
        kept &= points[:, 0] ** 2 + points[:, 1] ** 2 < reach**2
    return points[kept] if kept.sum() >= FEWEST else points


def _intensity(
    intensity: np.ndarray, distance: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Another law of intensity, or intensities that say nothing; float32 in 0..1."""
    draw = generator.random()
    count = len(intensity)
    if draw < 0.12 * share:
        return np.full(count, generator.choice([0.0, generator.random()]), np.float32)
    if draw < 0.22 * share:
        return generator.permutation(intensity)
    if draw < 0.9 * share:
        gamma = np.exp(generator.normal(0, 0.45))
        gain = np.exp(generator.uniform(np.log(0.12), np.log(2.2)))
        intensity = gain * np.power(np.maximum(intensity, 0), gamma)
        if generator.random() < 0.4:
            intensity = intensity * (np.maximum(distance, 1) / 12) ** generator.uniform(-1.2, 0.4)
        if generator.random() < 0.5:
            intensity = intensity * np.exp(generator.normal(0, generator.uniform(0.05, 0.6), count))
        if generator.random() < 0.3:
            intensity = np.where(intensity < generator.uniform(0, 0.1), 0, intensity)
    return np.clip(intensity, 0, 1).astype(np.float32)


def _shaken(pose: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A calibration that is not quite right: half a degree, some centimetres."""
    turn = cv2.Rodrigues(generator.normal(0, np.radians(0.35), 3))[0]
    shaken = pose.copy()
    shaken[:3] = turn @ pose[:3]
    shaken[:3, 3] += generator.normal(0, 0.03, 3)
    return shaken


def _from_elsewhere(
    image: np.ndarray, scale: RangeScale, share: float, generator: np.random.Generator
) -> np.ndarray:
    """As if the camera stood higher or lower, or on a slope, and ranges were a little off."""
    seen = image.any(0)
    if generator.random() < 0.7 * share:
        distance = scale.near * (scale.far / scale.near) ** (1 - image[0])
        change = generator.normal(0, 0.22) + distance * generator.normal(0, 0.012)
        image[2] = np.clip(image[2] + seen * change / (scale.high - scale.low), 0, 1)
    if generator.random() < 0.5 * share:
        image[0] = np.clip(image[0] + seen * np.float32(generator.normal(0, 0.013)), 0, 1)
    return image


def picture(rgb: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Another camera's tone, white balance, sharpness and compression: float32 (3, h, w), 0..1."""
    if not share:
        return rgb
    gamma = np.float32(np.exp(share * generator.normal(0, 0.22)))
    gains = np.exp(share * generator.normal(0, 0.08, (3, 1, 1))).astype(np.float32)
    rgb = np.clip(np.clip(rgb, 0, 1) ** gamma * gains, 0, 1)
    if generator.random() < 0.15 * share:
        rgb = _blurred(rgb, generator.uniform(1.3, 2.5))
    if generator.random() < 0.2 * share:
        rgb = _compressed(rgb, int(generator.integers(15, 70)))
    return rgb


def _blurred(rgb: np.ndarray, factor: float) -> np.ndarray:
    height, width = rgb.shape[1:]
    size = max(2, int(width / factor)), max(2, int(height / factor))
    small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in rgb]
    return np.stack([cv2.resize(plane, (width, height)) for plane in small])


def _compressed(rgb: np.ndarray, quality: int) -> np.ndarray:
    pixels = np.ascontiguousarray((rgb.transpose(1, 2, 0) * 255).astype(np.uint8))
    packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.float32)
    return unpacked.transpose(2, 0, 1) / np.float32(255)


def planes(
    modality: Modality, image: np.ndarray, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Depth from another height, events of another threshold: float32 (3, h, w)."""
    if modality == Modality.DEPTH and generator.random() < 0.3 * share:
        seen = image.any(0)
        image[2] = np.clip(image[2] + seen * np.float32(generator.normal(0, 0.03)), 0, 1)
        image[0] = np.clip(image[0] + seen * np.float32(generator.normal(0, 0.02)), 0, 1)
    if modality == Modality.EVENT and generator.random() < 0.3 * share:
        image[:2] = np.clip(image[:2] * np.float32(np.exp(generator.normal(0, 0.4))), 0, 1)
    return image
