"""Joint augmentation of images and label, and the ways in which sensors differ and fail."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from any2seg_ros.configuration import check, setting
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.training import foreign
from any2seg_ros.training.cached_dataset import CachedFrame
from any2seg_ros.training.window import Window
from any2seg_ros.types import Modality

MEAN = np.array((0.485, 0.456, 0.406), np.float32)[:, None, None]
STD = np.array((0.229, 0.224, 0.225), np.float32)[:, None, None]
DEFAULTS = PreprocessingConfig()
_SPARSE = (Modality.LIDAR, Modality.EVENT)


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of the training frames; a corrupted sensor is corrupted alone."""

    crop: tuple[int, int] = setting(
        (0, 0),
        "width and height of the training crops, smaller than the modality images to save time; 0 "
        "for the size of these",
        "px",
        low=0,
    )
    flip: float = setting(0.5, "probability of a horizontal flip", low=0, high=1)
    zoom: float = setting(
        1.6, "largest magnification of a crop; the smallest shows the whole image", low=1
    )
    jitter: float = setting(
        0.3, "largest change of brightness, contrast and saturation, as a fraction", low=0, high=1
    )
    rgb_corruption: float = setting(
        0.3,
        "probability of night, overexposure, motion blur, fog or noise in the RGB image",
        low=0,
        high=1,
    )
    depth_corruption: float = setting(
        0.2, "probability of noise or holes in the depth image", low=0, high=1
    )
    lidar_corruption: float = setting(
        0.2, "probability of lost returns, a shifted sweep or noise in the cloud", low=0, high=1
    )
    event_corruption: float = setting(
        0.2, "probability of other event rates, noise or a coarser event sensor", low=0, high=1
    )
    stretch: float = setting(
        1.0,
        "largest ratio between a crop's vertical and horizontal magnification, for cameras of "
        "other proportions; 1 for none",
        low=1,
    )
    foreign: float = setting(
        0.0,
        "how often sensors measure as other makes do: another law of intensity, fewer beams, "
        "another height, other colours, JPEG; 1 for mostly",
        low=0,
        high=1,
    )

    strangers: float = setting(
        0.0,
        "probability that one sensor beside the camera shows another frame, so that the fusion "
        "learns to doubt what contradicts the camera; images alone get a sensor from another set",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        check(self)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) that augmented images of (width, height) have."""
        return (self.crop[0] or size[0], self.crop[1] or size[1])


@dataclass(frozen=True, eq=False)
class Augmented:
    """A view of a frame: images float32 (M, 3, h, w), present bool (M,), label and, where there is
    one, weight uint8, both at the label's resolution relative to the images."""

    images: np.ndarray
    present: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None


def augment(
    frame: CachedFrame,
    config: AugmentationConfig,
    generator: np.random.Generator,
    preprocessing: PreprocessingConfig = DEFAULTS,
) -> Augmented:
    """A random view of a frame.

    Flip and crop move everything together; all else changes one modality each.
    """
    shape = frame.images.shape[-2:]
    size = config.size((shape[1], shape[0]))
    window = Window.drawn(shape, size, config.zoom, config.stretch, generator)
    flipped = generator.random() < config.flip
    images, present = _images(frame, window, config, generator, preprocessing)
    label, weight = window.nearest(frame.label), None
    if frame.weight is not None:
        weight = window.nearest(frame.weight)
    if flipped:
        images, label = images[..., ::-1], label[:, ::-1]
        weight = None if weight is None else np.ascontiguousarray(weight[:, ::-1])
    images = np.ascontiguousarray(images)
    _worsen(images, present, config, generator)
    return Augmented(images, present, np.ascontiguousarray(label), weight)


def _images(
    frame: CachedFrame,
    window: Window,
    config: AugmentationConfig,
    generator: np.random.Generator,
    preprocessing: PreprocessingConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """What each sensor shows of the window, and which has something to show."""
    width, height = window.size
    images = np.zeros((len(frame.images), 3, height, width), np.float32)
    present = frame.present.copy()
    for modality in [m for m in Modality if present[m]]:
        if modality == Modality.RGB and frame.picture is not None:
            images[modality] = _picture(window.area(frame.picture))
        elif modality == Modality.LIDAR and frame.cloud is not None:
            image = foreign.lidar(frame.cloud, window, config.foreign, generator, preprocessing)
            present[modality] = image is not None
            images[modality] = 0 if image is None else image
        else:
            kind = cv2.INTER_NEAREST if modality in _SPARSE else cv2.INTER_LINEAR
            images[modality] = window.planes(frame.images[modality], kind)
    return images, present


def _picture(pixels: np.ndarray) -> np.ndarray:
    """A picture uint8 (h, w, 3) as the network eats it."""
    rgb = pixels.transpose(2, 0, 1).astype(np.float32) * np.float32(1 / 255)
    return (rgb - MEAN) / STD


def _worsen(
    images: np.ndarray,
    present: np.ndarray,
    config: AugmentationConfig,
    generator: np.random.Generator,
) -> None:
    """Jitter, foreign sensors and failures, in place, each modality on its own."""
    if present[Modality.RGB]:
        rgb = images[Modality.RGB] * STD + MEAN
        rgb = foreign.picture(rgb, config.foreign, generator)
        rgb = _jittered(rgb, config.jitter, generator)
        if generator.random() < config.rgb_corruption:
            rgb = _worse_rgb(rgb, generator)
        images[Modality.RGB] = (rgb - MEAN) / STD
    for modality, probability, worse in (
        (Modality.DEPTH, config.depth_corruption, _worse_depth),
        (Modality.LIDAR, config.lidar_corruption, _worse_lidar),
        (Modality.EVENT, config.event_corruption, _worse_event),
    ):
        if not present[modality]:
            continue
        if modality != Modality.LIDAR:
            images[modality] = foreign.planes(modality, images[modality], config.foreign, generator)
        if generator.random() < probability:
            images[modality] = worse(images[modality], generator)


def _jittered(rgb: np.ndarray, jitter: float, generator: np.random.Generator) -> np.ndarray:
    brightness, contrast, saturation = generator.uniform(1 - jitter, 1 + jitter, 3)
    rgb = rgb * np.float32(brightness)
    mean = rgb.mean()
    rgb = mean + (rgb - mean) * np.float32(contrast)
    grey = rgb.mean(0, keepdims=True)
    return np.clip(grey + (rgb - grey) * np.float32(saturation), 0, 1)


def _worse_rgb(rgb: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    kind = generator.integers(5)
    if kind == 0:  # night and underexposure
        gain = np.float32(generator.uniform(0.05, 0.5))
        return np.clip(rgb * gain + _normal(rgb.shape, 0.03, generator), 0, 1)
    if kind == 1:  # overexposure
        return np.clip(rgb * np.float32(generator.uniform(1.8, 4)), 0, 1)
    if kind == 2:  # motion blur
        length = int(generator.integers(3, 9))
        return np.stack([cv2.blur(plane, (length, 1)) for plane in rgb])
    if kind == 3:  # fog and glare
        veil = np.float32(generator.uniform(0.3, 0.85))
        return rgb * (1 - veil) + veil * np.float32(generator.uniform(0.5, 0.9))
    noisy = rgb + _normal(rgb.shape, generator.uniform(0.05, 0.4), generator)
    return _salted(np.clip(noisy, 0, 1), generator)


def _worse_depth(depth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if generator.random() < 0.5:
        noisy = depth + _normal(depth.shape, generator.uniform(0.02, 0.3), generator)
        return _salted(noisy, generator)
    worse = depth.copy()
    height, width = depth.shape[-2:]
    for _ in range(generator.integers(1, 6)):
        y, x = generator.integers(height), generator.integers(width)
        worse[:, y : y + height // 3, x : x + width // 4] = 0
    return worse


def _worse_lidar(lidar: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    kind = generator.integers(3)
    if kind == 0:  # fewer returns
        kept = generator.random(lidar.shape[-2:]) > generator.uniform(0.2, 0.8)
        return lidar * kept
    if kind == 1:  # a shaken sweep
        dy, dx = generator.integers(-4, 5, 2)
        return np.roll(lidar, (int(dy), int(dx)), (1, 2))
    noisy = lidar + _normal(lidar.shape, generator.uniform(0.02, 0.3), generator)
    return _salted(noisy, generator)


def _worse_event(events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    kind = generator.integers(3)
    if kind == 0:  # a slower or a faster drive
        return events * np.float32(generator.uniform(0.2, 2))
    if kind == 1:
        return _salted(events, generator)
    height, width = events.shape[-2:]  # a sensor of half the resolution
    small = np.ascontiguousarray(events[:, ::2, ::2])
    planes = [cv2.resize(p, (width, height), interpolation=cv2.INTER_NEAREST) for p in small]
    return np.stack(planes)


def _normal(shape: tuple[int, ...], sigma: float, generator: np.random.Generator) -> np.ndarray:
    return generator.standard_normal(shape, dtype=np.float32) * np.float32(sigma)


def _salted(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    density = generator.uniform(0.01, 0.2)
    draw = generator.random(image.shape[-2:], dtype=np.float32)
    salted = np.where(draw < density / 2, np.float32(0), image)
    return np.where(draw > 1 - density / 2, np.float32(1), salted)
