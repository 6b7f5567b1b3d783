"""Sensor models: RGB camera, stereo depth and LiDAR, with labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, sqrt

import cv2
import numpy as np

from any2seg_ros.loops import compiled
from any2seg_ros.simulation.materials import M, atlas
from any2seg_ros.simulation.mesh import vector
from any2seg_ros.simulation.settings import DepthSettings, LidarSettings, RgbSettings
from any2seg_ros.simulation.shading import Lights, radiance, surfaces
from any2seg_ros.simulation.snapshot import Hits, Snapshot
from any2seg_ros.simulation.weather import Weather
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import IGNORE, Camera

_SKY = np.uint8(DELIVER.id("Sky"))
LUMINANCE = vector(0.2126, 0.7152, 0.0722)


@lru_cache(maxsize=8)
def _pixel_rays(camera: Camera) -> np.ndarray:
    """Unit rays through all pixels in the optical frame, float32 (h * w, 3)."""
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = np.stack(
        [(u.ravel() - camera.cx) / camera.fx, (v.ravel() - camera.cy) / camera.fy, np.ones(u.size)]
    )
    return np.ascontiguousarray((rays / np.sqrt(np.square(rays).sum(0))).T, np.float32)


def camera_rays(camera: Camera, world_from_optical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World origin float32 (1, 3) and unit directions float32 (h * w, 3) of all pixels."""
    pose = world_from_optical.astype(np.float32)
    return pose[None, :3, 3].copy(), _rotate(_pixel_rays(camera), pose[:3, :3].copy())


@compiled
def _rotate(rays, turn):
    turned = np.empty_like(rays)
    for i in range(len(rays)):
        x, y, z = rays[i, 0], rays[i, 1], rays[i, 2]
        for axis in range(3):
            turned[i, axis] = turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z
    return turned


def forward(camera: Camera) -> np.ndarray:
    """Cosine between each pixel's ray and the optical axis, float32 (h * w,)."""
    return _pixel_rays(camera)[:, 2]


@dataclass(frozen=True, eq=False)
class View:
    """A render: linear light float32 (h, w, 3) and labels uint8 (h, w)."""

    light: np.ndarray
    labels: np.ndarray


def render(
    snapshot: Snapshot,
    camera: Camera,
    world_from_optical: np.ndarray,
    weather: Weather,
    lights: Lights,
    mirrors: bool = True,
) -> View:
    """Render what a camera sees; `mirrors` follows reflections once."""
    origins, directions = camera_rays(camera, world_from_optical)
    pixel = 1.0 / camera.fx
    light, hits = radiance(snapshot, origins, directions, weather, lights, pixel, mirrors)
    labels = np.where(hits.face >= 0, snapshot.faces.label[hits.face], _SKY).astype(np.uint8)
    shape = (camera.height, camera.width)
    return View(light.reshape(*shape, 3), labels.reshape(shape))


def exposure(light: np.ndarray, night: bool) -> float:
    """The gain on linear light that auto exposure chooses."""
    luminance = light.reshape(-1, 3)[::7] @ LUMINANCE
    middle = float(np.exp(np.log(luminance + 1e-4).mean()))
    low, high = (1.5, 7.0) if night else (0.55, 2.4)
    return float(np.clip(0.20 / middle, low, high))


def expose(
    light: np.ndarray,
    gain: float,
    well: float,
    weather: Weather,
    settings: RgbSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """The image uint8 (h, w, 3) of linear light float32 (h, w, 3): lens, noise and tone curve.

    `gain` scales white to 1; `well` is the number of electrons at white.
    """
    light = cv2.GaussianBlur(light, (0, 0), settings.blur)
    if weather.night:
        # Lens flare around lamps.
        bright = np.maximum(light - 0.5, 0)
        light = light + 0.12 * cv2.GaussianBlur(bright, (0, 0), light.shape[1] / 64)
    noise = rng.standard_normal(light.shape, np.float32)
    return _develop(light, noise, gain * well, well, settings.read_noise, _tone_curve())


@lru_cache(maxsize=1)
def _tone_curve() -> np.ndarray:
    """Gamma curve: pixel value uint8 (4096,) for signals of 0..1."""
    return (np.power(np.arange(4096) / 4095.0, 1 / 2.2) * 255 + 0.5).astype(np.uint8)


@compiled
def _develop(light, noise, gain, well, read_noise, tones):
    """Image uint8 (h, w, 3) of light and normal noise; `gain`: electrons per unit light."""
    picture = np.empty(light.shape, np.uint8)
    source, draws, target = light.ravel(), noise.ravel(), picture.reshape(-1)
    scale, floor = np.float32(gain), np.float32(read_noise * read_noise)
    share = np.float32(1.0 / well)
    for i in range(len(source)):
        electrons = source[i] * scale
        electrons += draws[i] * sqrt(electrons + floor)
        signal = min(max(electrons * share, np.float32(0.0)), np.float32(8.0))
        if signal >= np.float32(0.6):
            # Soft shoulder instead of hard clipping, as in a camera's tone curve.
            fall = exp((np.float32(0.6) - signal) * np.float32(2.5))
            signal = np.float32(1.0) - np.float32(0.4) * fall
        target[i] = tones[int(signal * np.float32(4095.0))]
    return picture


def streaks(light: np.ndarray, rain: float, glow: float, rng: np.random.Generator) -> np.ndarray:
    """Add falling rain and drops on the lens to linear light float32 (h, w, 3)."""
    height, width = light.shape[:2]
    veil = np.zeros((height, width), np.float32)
    slant = rng.uniform(-0.25, 0.25)
    for _ in range(int(520 * rain)):
        x, y = rng.uniform(0, width), rng.uniform(-20, height)
        length = rng.uniform(8, 34)
        end = (int(x + slant * length), int(y + length))
        cv2.line(veil, (int(x), int(y)), end, rng.uniform(0.12, 0.4), 1, cv2.LINE_AA)
    drops = np.zeros((height, width), np.float32)
    for _ in range(int(26 * rain)):
        center = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(drops, center, int(rng.uniform(3, 11)), 1.0, -1, cv2.LINE_AA)
    share = cv2.GaussianBlur(drops, (0, 0), 1.5)
    return _add_drops(light, cv2.GaussianBlur(veil, (3, 3), 0), glow, _soft(light), share)


def _soft(light: np.ndarray) -> np.ndarray:
    """Light blurred as by a drop on the lens: sigma 7 pixels, computed at half size."""
    height, width = light.shape[:2]
    small = cv2.resize(light, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), 3.5), (width, height))


@compiled
def _add_drops(light, veil, glow, soft, share):
    """Blend light with falling drops (`veil`, of brightness `glow`) and lens drops (`share`)."""
    out = np.empty_like(light)
    for y in range(light.shape[0]):
        for x in range(light.shape[1]):
            thin, thick = veil[y, x], np.float32(0.85) * share[y, x]
            for channel in range(3):
                fallen = light[y, x, channel] * (1 - thin) + np.float32(glow) * thin
                stuck = np.float32(1.15) * soft[y, x, channel]
                out[y, x, channel] = fallen * (1 - thick) + stuck * thick
    return out


def measure_depth(
    snapshot: Snapshot,
    camera: Camera,
    world_from_optical: np.ndarray,
    weather: Weather,
    settings: DepthSettings,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Stereo depth uint16 (h, w) in mm, 0 in holes; and the true depth float32 (h, w) in m."""
    origins, directions = camera_rays(camera, world_from_optical)
    hits = snapshot.trace(origins, directions)
    shape = (camera.height, camera.width)
    true = np.where(hits.face >= 0, hits.distance * forward(camera), np.inf).astype(np.float32)
    glass = _glass_share(snapshot, origins, directions, hits, 1.0 / camera.fx)
    return _stereo(
        true.reshape(shape), glass.reshape(shape), camera, weather, settings, rng
    ), true.reshape(shape)


def _glass_share(
    snapshot: Snapshot, origins: np.ndarray, directions: np.ndarray, hits: Hits, pixel: float
) -> np.ndarray:
    """Share of unmatchable surface (glass, water) in each pixel, float32 (n,)."""
    glassy = np.append(atlas().glassy, False)
    material = np.where(hits.face >= 0, snapshot.faces.material[hits.face], -1)
    at = np.flatnonzero(glassy[material])
    seen = surfaces(snapshot, origins, directions[at], hits.take(at), pixel)
    glass = (material == M["water"]) * np.float32(0.9)
    glass[at[seen.ray]] = seen.glass
    return glass


def _stereo(
    true: np.ndarray,
    glass: np.ndarray,
    camera: Camera,
    weather: Weather,
    settings: DepthSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    """Depth as from block matching; the effects are listed in docs/streets.md."""
    shape = true.shape
    scale = camera.fx * settings.baseline
    disparity = np.float32(scale) / true
    sigma = settings.disparity_noise * (1.8 if weather.night else 1.4 if weather.rain else 1.0)
    coarse = rng.standard_normal((shape[0] // 3 + 1, shape[1] // 3 + 1), np.float32)
    patchy = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    fine = rng.standard_normal(shape, np.float32)
    # Foreground fattening: blocks extend near surfaces over their edges.
    fat = cv2.dilate(disparity, np.ones((3, 3), np.uint8))
    edge = fat - disparity > 0.8
    swap = edge & (rng.random(shape, np.float32) < 0.5)
    disparity = np.where(swap, fat, disparity)
    noisy = disparity + np.float32(sigma) * (np.float32(0.9) * patchy + np.float32(0.6) * fine)
    noisy = np.rint(noisy / settings.disparity_step) * np.float32(settings.disparity_step)
    hidden = np.zeros(shape, bool)
    for k in (1, 2, 3, 4, 6, 8, 12):
        hidden[:, k:] |= disparity[:, :-k] - disparity[:, k:] > k
    lost = 0.0
    reach = settings.far
    if weather.fog > 0.02:
        reach = min(reach, 2.3 / weather.fog)
    if weather.night:
        reach, lost = reach * 0.7, 0.05
    if weather.rain:
        reach, lost = reach * 0.75, 0.02 + 0.03 * weather.rain
    share = settings.speckle + lost + settings.glass_holes * glass
    blotch = cv2.resize(
        rng.random((shape[0] // 4 + 1, shape[1] // 4 + 1), np.float32),
        (shape[1], shape[0]),
        interpolation=cv2.INTER_NEAREST,
    )
    draw = np.where(glass > 0.3, blotch, rng.random(shape, np.float32))
    with np.errstate(divide="ignore"):
        depth = np.float32(scale) / noisy
    hole = (
        hidden
        | (draw < share)
        | (noisy <= 0)
        | (depth > reach)
        | (depth < settings.near)
        | ~np.isfinite(true)
    )
    return np.where(hole, 0, np.minimum(depth * 1000, 65535)).astype(np.uint16)


@dataclass(frozen=True, eq=False)
class Sweep:
    """A LiDAR sweep.

    points float32 (n, 4): x, y, z in the LiDAR frame at the stamp, and intensity 0..1; ring uint8
    (n,); time float32 (n,) in seconds relative to the stamp.
    """

    points: np.ndarray
    ring: np.ndarray
    time: np.ndarray
    labels: np.ndarray
    """True class of each return, uint8 (n,); IGNORE for returns of fog and rain."""


def measure_lidar(
    snapshot: Snapshot,
    world_from_lidar: tuple[np.ndarray, np.ndarray, np.ndarray],
    weather: Weather,
    settings: LidarSettings,
    rng: np.random.Generator,
    jitter: bool = False,
    infrared: np.ndarray | None = None,
) -> Sweep:
    """One sweep. `world_from_lidar`: poses at the start, middle and end of the sector.

    Each column is fired from the pose at its own time; points are motion-compensated to the middle
    of the sector, which is the stamp. infrared: factors on the
    reflectance of each material.
    """
    beams, columns = settings.beams, settings.columns
    fraction = np.linspace(-0.5, 0.5, columns)
    azimuth = -fraction * np.radians(settings.sector)
    elevation = np.radians(np.linspace(settings.highest, settings.lowest, beams))
    local = _rays(elevation[:, None], azimuth[None])
    shaken = local
    if jitter:
        sigma = np.radians(settings.jitter)
        # Mostly common to a column, with a smaller part per beam.
        shake = sigma * (
            rng.standard_normal((2, 1, columns)) + 0.3 * rng.standard_normal((2, beams, columns))
        )
        shaken = _rays(elevation[:, None] + shake[0], azimuth[None] + shake[1])
    origins, directions, back = _fire(world_from_lidar, fraction, shaken)
    hits = snapshot.trace(origins, directions)
    seen = surfaces(snapshot, origins, directions, hits, 0.003)
    power, reflect = _power(
        seen.material, seen.glass, seen.facing, seen.distance, weather, infrared
    )
    keep = (seen.distance < settings.far) & (seen.distance > settings.near)
    chance = power / (power + np.float32(settings.sensitivity))
    keep &= rng.random(len(seen.ray), np.float32) < chance
    distance = seen.distance + np.float32(settings.noise) * rng.standard_normal(
        len(seen.ray), np.float32
    )
    labels = snapshot.faces.label[seen.face].astype(np.uint8)
    intensity = np.clip(
        reflect * (0.35 + 0.65 * seen.facing) * rng.uniform(0.9, 1.1, len(seen.ray)), 0, 1
    )
    at, distance, labels = seen.ray[keep], distance[keep], labels[keep]
    intensity = intensity[keep].astype(np.float32)
    at, distance, intensity, labels = _clutter(
        at, distance, intensity, labels, beams * columns, weather, rng
    )
    # The driver assumes the nominal angles.
    assumed = local.reshape(-1, 3)[at] * distance[:, None].astype(np.float64)
    column = at % columns
    points = np.einsum("nij,nj->ni", back[column, :3, :3], assumed) + back[column, :3, 3]
    cloud = np.concatenate([np.round(points, 3), np.round(intensity[:, None] * 255) / 255], 1)
    return Sweep(
        cloud.astype(np.float32),
        (at // columns).astype(np.uint8),
        (fraction[column] * settings.sector / 360.0 / settings.rate).astype(np.float32),
        labels,
    )


def _rays(elevation: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Unit directions float64 (..., 3) of angles in radians; x forward, y left, z up."""
    flat = np.cos(elevation)
    z = np.broadcast_to(np.sin(elevation), np.broadcast_shapes(elevation.shape, azimuth.shape))
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), z], -1)


def _fire(
    poses: tuple[np.ndarray, np.ndarray, np.ndarray], fraction: np.ndarray, local: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World origins and directions float32 (beams * columns, 3), and the transform float64
    (columns, 4, 4) from the LiDAR frame at each column to that at the middle."""
    first, middle, last = poses
    inverse = np.linalg.inv(middle)
    # Motion within a sweep is small: interpolate linearly, then orthonormalize.
    share = fraction[:, None, None] + 0.5
    blend = first * (1 - share) + last * share
    u, _, vt = np.linalg.svd(blend[:, :3, :3])
    blend[:, :3, :3] = u @ vt
    back = inverse @ blend
    origins, directions = _swept(blend, local)
    return origins, directions, back


@compiled
def _swept(poses, local):
    """Rays float64 (beams, columns, 3) in the world: origins and directions float32 (n, 3)."""
    beams, columns = local.shape[:2]
    origins = np.empty((beams * columns, 3), np.float32)
    directions = np.empty((beams * columns, 3), np.float32)
    for i in range(beams * columns):
        beam, column = i // columns, i % columns
        x, y, z = local[beam, column, 0], local[beam, column, 1], local[beam, column, 2]
        for axis in range(3):
            pose = poses[column, axis]
            origins[i, axis] = pose[3]
            directions[i, axis] = pose[0] * x + pose[1] * y + pose[2] * z
    return origins, directions


def _power(
    material: np.ndarray,
    glass: np.ndarray,
    facing: np.ndarray,
    distance: np.ndarray,
    weather: Weather,
    factors: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return power, and the reflectance that the sensor reports as intensity."""
    table = atlas()
    infrared = table.infrared
    if factors is not None:
        infrared = np.clip(infrared * factors[: len(infrared)], 0.01, 1).astype(np.float32)
    reflect = infrared[material] * (1 - np.float32(0.9) * glass)
    if weather.rain:
        reflect = reflect * np.where(
            table.wets[material], np.float32(1 - 0.55 * weather.rain), np.float32(1.0)
        )
    clear = np.exp(np.float32(-2 * (0.35 * weather.fog + 0.006 * weather.rain)) * distance)
    return reflect * facing * clear / np.square(distance), reflect * clear


def _clutter(
    at: np.ndarray,
    distance: np.ndarray,
    intensity: np.ndarray,
    labels: np.ndarray,
    rays: int,
    weather: Weather,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    """Add weak, near returns of rain and fog, which replace the returns behind them."""
    share = 0.035 * weather.rain + (0.9 * weather.fog if weather.fog > 0.02 else 0.0)
    if share <= 0:
        return at, distance, intensity, labels
    drop = np.flatnonzero(rng.random(rays) < share)
    near = (1.5 + rng.exponential(3.0 if weather.rain else 4.5, len(drop))).astype(np.float32)
    behind = np.full(rays, np.inf, np.float32)
    behind[at] = distance
    free = near < behind[drop]
    drop, near = drop[free], near[free]
    keep = ~np.isin(at, drop)
    small = rng.uniform(0.01, 0.1, len(drop)).astype(np.float32)
    none = np.full(len(drop), IGNORE, np.uint8)
    return (
        np.concatenate([at[keep], drop]),
        np.concatenate([distance[keep], near]),
        np.concatenate([intensity[keep], small]),
        np.concatenate([labels[keep], none]),
    )
