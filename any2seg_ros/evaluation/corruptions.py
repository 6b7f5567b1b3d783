"""What goes wrong with sensors: "what if" on any bag (`--corrupt rgb:night@3.0-`).

Every corruption is a function of a measurement and of a generator: the same seed, the same result.
The noise of the published robustness tables, on modality images, is in `noise`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from any2seg_ros.types import Events, Modality

Rng = np.random.Generator


def night(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A twentieth of the light: bluish, with shot and read-out noise. uint8 (h, w[, 3])."""
    photons = image.astype(np.float32) * (0.05 * 4.0)
    if image.ndim == 3:
        photons *= np.array([0.75, 0.85, 1.15], np.float32)
    seen = rng.poisson(photons).astype(np.float32)
    seen += rng.normal(0.0, 2.0, image.shape).astype(np.float32)
    return _bytes(seen)


def fog(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Koschmieder's law with the distance of a flat road: what is near the horizon drowns."""
    rows = np.arange(image.shape[0], dtype=np.float32) / image.shape[0]
    distance = 6.0 / np.maximum(np.abs(rows - 0.5) + 0.02, 0.02)
    through = np.exp(-distance / 60.0).reshape(-1, *(1,) * (image.ndim - 1))
    return _bytes(image * through + 205.0 * (1.0 - through))


def rain(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Slanted streaks over a duller, softer picture."""
    streaks = (rng.random(image.shape[:2]) > 0.997).astype(np.float32) * 255.0
    length = max(image.shape[0] // 14, 5)
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (length // 2 + length // 8, 0), (length // 2 - length // 8, length - 1), 1.0)
    streaks = cv2.filter2D(streaks, -1, kernel / kernel.sum()) * (length * 0.35)
    if image.ndim == 3:
        streaks = streaks[..., None]
    dull = cv2.GaussianBlur(image, (3, 3), 0.8).astype(np.float32) * 0.75 + 25.0
    return _bytes(dull + np.minimum(streaks, 110.0))


def overexposure(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Four times the light; what was brighter than a quarter saturates."""
    return _bytes(image * 4.0)


def underexposure(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A twelfth of the light, quantised."""
    return _bytes(image * (1.0 / 12.0))


def motionblur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """The camera turned by a twentieth of the picture's width during the exposure."""
    length = max(image.shape[1] // 20, 3)
    return cv2.blur(image, (length, 1))


def noise(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Gaussian noise of a tenth of the range, uint8."""
    return _bytes(image + rng.normal(0.0, 25.5, image.shape))


def saltpepper(image: np.ndarray, rng: Rng) -> np.ndarray:
    """A tenth of the pixels black or white."""
    struck, kind = rng.random(image.shape[:2]) < 0.1, rng.random(image.shape[:2]) < 0.5
    result = image.copy()
    result[struck & kind] = 255
    result[struck & ~kind] = 0
    return result


def black(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Nothing but zeros: a covered lens, a depth image of holes."""
    return np.zeros_like(image)


def white(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Nothing but the largest value: blinded."""
    return np.full_like(image, 255)


def depth_noise(depth: np.ndarray, rng: Rng) -> np.ndarray:
    """Stereo noise, 1 m at 20 m and growing with the square of the distance; m or uint16 mm."""
    metres = _metres(depth)
    noisy_metres = metres + rng.normal(0.0, 1.0, depth.shape).astype(np.float32) * (
        metres**2 * np.float32(0.0025)
    )
    return _as_depth(np.where(metres > 0, np.maximum(noisy_metres, 0.05), metres), depth.dtype)


def depth_holes(depth: np.ndarray, rng: Rng) -> np.ndarray:
    """Half of the depth image lost in blotches."""
    height, width = depth.shape
    coarse = rng.random((height // 12 + 1, width // 12 + 1)).astype(np.float32)
    keep = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    return np.where(keep, depth, depth.dtype.type(0))


def depth_short(depth: np.ndarray, rng: Rng) -> np.ndarray:
    """Nothing beyond 8 m, as of a small stereo camera."""
    return np.where(_metres(depth) <= 8.0, depth, depth.dtype.type(0))


def sparse(cloud: np.ndarray, rng: Rng) -> np.ndarray:
    """One point in eight; float32 (n, 4)."""
    return cloud[rng.random(len(cloud)) < 0.125]


def lidar_fog(cloud: np.ndarray, rng: Rng) -> np.ndarray:
    """Far returns vanish with the distance travelled, false ones appear near the sensor."""
    reach = np.linalg.norm(cloud[:, :3], axis=1)
    kept = cloud[rng.random(len(cloud)) < np.exp(-2.0 * reach / 40.0)]
    count = len(cloud) // 50
    direction = rng.normal(0.0, 1.0, (count, 3))
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    false = np.zeros((count, 4), np.float32)
    false[:, :3] = direction * rng.uniform(1.0, 6.0, (count, 1))
    return np.concatenate([kept, false])


def jitter(cloud: np.ndarray, rng: Rng) -> np.ndarray:
    """The sweep's angles shake by a degree and a half, as of a loose mount."""
    angles = rng.normal(0.0, np.radians(1.5), (len(cloud), 2))
    x, y, z, rest = cloud[:, 0], cloud[:, 1], cloud[:, 2], cloud[:, 3]
    yaw, pitch = angles[:, 0], angles[:, 1]
    flat = np.hypot(x, y)
    turned = np.arctan2(y, x) + yaw
    reach, rise = np.hypot(flat, z), np.arctan2(z, flat) + pitch
    near = reach * np.cos(rise)
    return np.stack(
        [near * np.cos(turned), near * np.sin(turned), reach * np.sin(rise), rest], axis=1
    ).astype(np.float32)


def lidar_noise(cloud: np.ndarray, rng: Rng) -> np.ndarray:
    """Ranges off by 0.3 m (one sigma)."""
    reach = np.maximum(np.linalg.norm(cloud[:, :3], axis=1, keepdims=True), 1e-3)
    off = 1.0 + rng.normal(0.0, 0.3, (len(cloud), 1)) / reach
    return np.concatenate([cloud[:, :3] * off, cloud[:, 3:]], axis=1).astype(np.float32)


def event_noise(events: Events, rng: Rng) -> Events:
    """As many false events again as there are true ones."""
    count = len(events)
    if not count:
        return events
    t = rng.integers(events.t[0], events.t[-1] + 1, count)
    order = np.argsort(np.concatenate([events.t, t]), kind="stable")
    return Events(
        np.concatenate([events.t, t])[order],
        np.concatenate([events.x, rng.integers(0, events.width, count).astype(np.uint16)])[order],
        np.concatenate([events.y, rng.integers(0, events.height, count).astype(np.uint16)])[order],
        np.concatenate([events.p, rng.random(count) < 0.5])[order],
        events.width,
        events.height,
    )


def event_sparse(events: Events, rng: Rng) -> Events:
    """One event in eight, as of a high threshold."""
    return _select(events, rng.random(len(events)) < 0.125)


def lowres(events: Events, rng: Rng) -> Events:
    """A sensor of a quarter of the width and height; addresses stay those of the whole one."""
    return Events(
        events.t,
        (events.x // 4 * 4 + 2).clip(0, events.width - 1).astype(np.uint16),
        (events.y // 4 * 4 + 2).clip(0, events.height - 1).astype(np.uint16),
        events.p,
        events.width,
        events.height,
    )


def positive_only(events: Events, rng: Rng) -> Events:
    """Only events of rising light."""
    return _select(events, events.p)


CORRUPTIONS: Mapping[Modality, Mapping[str, Callable]] = {
    Modality.RGB: {
        "night": night,
        "fog": fog,
        "rain": rain,
        "overexposure": overexposure,
        "underexposure": underexposure,
        "motionblur": motionblur,
        "noise": noise,
        "saltpepper": saltpepper,
        "black": black,
        "white": white,
    },
    Modality.DEPTH: {
        "noise": depth_noise,
        "holes": depth_holes,
        "short": depth_short,
        "black": black,
    },
    Modality.LIDAR: {"sparse": sparse, "fog": lidar_fog, "jitter": jitter, "noise": lidar_noise},
    Modality.EVENT: {
        "noise": event_noise,
        "sparse": event_sparse,
        "lowres": lowres,
        "positive": positive_only,
    },
}
"""What can be laid over a sensor's measurements, by name."""


def generator(seed: int, *key: int) -> Rng:
    """A generator that depends on the seed and the key only, not on what was done before."""
    return np.random.default_rng([seed, *(abs(part) for part in key)])


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _metres(depth: np.ndarray) -> np.ndarray:
    if depth.dtype == np.uint16:
        return depth.astype(np.float32) * np.float32(0.001)
    return np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)


def _as_depth(metres: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.uint16:
        return np.clip(np.rint(metres * 1000.0), 0, 65535).astype(np.uint16)
    return metres.astype(dtype)


def _select(events: Events, keep: np.ndarray) -> Events:
    return Events(
        events.t[keep], events.x[keep], events.y[keep], events.p[keep], events.width, events.height
    )
