"""Light on surfaces: from rays and what they hit to radiance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from any2seg_ros.simulation.materials import Atlas, atlas
from any2seg_ros.simulation.mesh import vector
from any2seg_ros.simulation.stage import Eye, Hits, Snapshot
from any2seg_ros.simulation.weather import Weather

_LAMP = vector(1.0, 0.72, 0.4)
_HEADLIGHT = vector(1.0, 0.95, 0.85)
_WINDOWS = np.array(
    [[1.0, 0.75, 0.4], [1.0, 0.9, 0.7], [0.6, 0.75, 1.0], [1.0, 0.6, 0.25]], np.float32
)


@dataclass(frozen=True, eq=False)
class Lights:
    """Lamps near the vehicle float32 (n, 3), and its headlights' place and direction."""

    lamps: np.ndarray
    headlight: np.ndarray
    forward: np.ndarray


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What n rays that hit something saw, row by row: see the fields' comments."""

    at: np.ndarray
    """Number of the ray, int64 (n,)."""
    point: np.ndarray
    """World point, float32 (n, 3)."""
    normal: np.ndarray
    """Unit normal that faces the viewer, float32 (n, 3)."""
    distance: np.ndarray
    """Metres from the eye, float32 (n,)."""
    facing: np.ndarray
    """Cosine between the normal and the view, float32 (n,), 0..1."""
    material: np.ndarray
    color: np.ndarray
    """Albedo, float32 (n, 3)."""
    glass: np.ndarray
    """Share of glass, float32 (n,)."""
    glow: np.ndarray
    uv: np.ndarray
    face: np.ndarray


def surfaces(
    snapshot: Snapshot, origins: np.ndarray, directions: np.ndarray, hits: Hits, pixel: float
) -> Surfaces:
    """The surfaces at the ends of unit rays; `pixel` is the angle between rays in radians."""
    at = np.flatnonzero(hits.face >= 0)
    face = hits.face[at]
    view, distance = directions[at], hits.distance[at]
    point = view * distance[:, None]
    point += origins[at] if len(origins) == len(directions) else origins
    shape = np.take(snapshot.faces.shape, face, axis=0)
    normal = shape[:, 6:9]
    facing = -np.einsum("ij,ij->i", normal, view)
    flip = facing < 0
    normal[flip] *= -1
    facing = np.abs(facing)
    uv = shape[:, 0:2] + hits.u[at, None] * shape[:, 2:4] + hits.v[at, None] * shape[:, 4:6]
    material = snapshot.faces.material[face]
    footprint = distance * np.float32(pixel) / np.sqrt(np.maximum(facing, np.float32(0.12)))
    texel = _atlas().sample(material, uv, footprint)
    color = texel[:, :3] * shape[:, 9:12]
    return Surfaces(
        at, point, normal, distance, facing, material, color, texel[:, 3], shape[:, 12], uv, face
    )


def _atlas() -> Atlas:
    return atlas()


def radiance(
    snapshot: Snapshot,
    origins: np.ndarray,
    directions: np.ndarray,
    weather: Weather,
    lights: Lights,
    pixel: float,
    mirrors: bool = True,
    eye: Eye | None = None,
) -> tuple[np.ndarray, Hits]:
    """Light that arrives along unit rays float32 (n, 3): linear RGB float32 (n, 3), and the hits.

    `mirrors` follows rays that wet roads and water reflect, once.
    """
    hits = snapshot.trace(origins, directions, eye)
    color = np.empty_like(directions)
    miss = np.flatnonzero(hits.face < 0)
    color[miss] = weather.sky(directions[miss])
    seen = surfaces(snapshot, origins, directions, hits, pixel)
    if len(seen.at):
        light = _lit(snapshot, seen, directions, weather, lights, mirrors)
        color[seen.at] = weather.faded(light, seen.distance)
    return color, hits


def _lit(
    snapshot: Snapshot,
    seen: Surfaces,
    directions: np.ndarray,
    weather: Weather,
    lights: Lights,
    mirrors: bool,
) -> np.ndarray:
    up = seen.normal[:, 2:3]
    ground = 0.22 * (weather.zenith + 0.5 * weather.sunlight * max(float(weather.sun[2]), 0.0))
    over = 0.65 * weather.zenith + 0.35 * weather.horizon
    irradiance = ground + (over - ground) * (0.5 + 0.5 * up)
    irradiance *= np.float32(1.25)
    if weather.shadows:
        irradiance += _sunlight(snapshot, seen, weather)
    if weather.night:
        irradiance += _lamplight(seen, lights)
    color = seen.color
    if weather.rain:
        dark = _atlas().wets[seen.material] & (seen.normal[:, 2] > 0.8)
        color = color * np.where(dark, np.float32(0.6), np.float32(1.0))[:, None]
    light = color * irradiance
    strength = np.float32(1.6 if weather.night else 0.8)
    light += color * (seen.glow * strength)[:, None]
    _reflect(snapshot, seen, directions, weather, lights, light, mirrors)
    if weather.night:
        _windows(seen, light)
    return light


def _sunlight(snapshot: Snapshot, seen: Surfaces, weather: Weather) -> np.ndarray:
    cosine = seen.normal @ weather.sun
    toward = np.flatnonzero(cosine > 0.02)
    start = seen.point[toward] + seen.normal[toward] * np.float32(0.02)
    cosine = np.clip(cosine, 0, 1)
    if len(start):
        cosine[toward[snapshot.blocked(start, weather.sun)]] = 0
    return cosine[:, None] * weather.sunlight


def _lamplight(seen: Surfaces, lights: Lights) -> np.ndarray:
    total = np.zeros_like(seen.color)
    for lamp in lights.lamps:
        away = lamp - seen.point
        square = np.einsum("ij,ij->i", away, away)
        near = np.flatnonzero(square < 22.0**2)
        away, square = away[near], square[near]
        cosine = np.einsum("ij,ij->i", away, seen.normal[near]) / np.sqrt(square)
        fall = np.clip(1.0 - square / np.float32(22.0**2), 0, 1) / (square + 6.0)
        beam = np.where(away[:, 2] > 0, np.float32(1.0), np.float32(0.15))
        total[near] += (np.clip(cosine, 0, 1) * fall * beam * 4.5)[:, None] * _LAMP
    ray = seen.point - lights.headlight
    square = np.einsum("ij,ij->i", ray, ray) + np.float32(0.5)
    distance = np.sqrt(square)
    center = (ray @ lights.forward) / distance
    cone = np.clip((center - 0.84) / 0.15, 0, 1)
    # Low beam: little light above the lamps.
    cone *= np.clip(1.0 - (ray[:, 2] / distance) * 9.0, 0.12, 1.0)
    cosine = np.clip(-np.einsum("ij,ij->i", ray, seen.normal) / distance, 0.05, 1)
    total += (cone * cosine * 26.0 / (square + 20.0))[:, None] * _HEADLIGHT
    return total


def _windows(seen: Surfaces, light: np.ndarray) -> None:
    """Some windows have light behind them."""
    at = np.flatnonzero((seen.glass > 0.3) & (seen.glow == 0))
    size = _atlas().size[seen.material[at]]
    cell = np.floor(seen.uv[at] / size).astype(np.int64)
    draw = (
        (cell[:, 0] * 73856093)
        ^ (cell[:, 1] * 19349663)
        ^ ((seen.face[at].astype(np.int64) // 2) * 83492791)
    )
    draw = (draw * 2654435761) & 0xFFFFFFFF
    lit = (draw % 100 < 38) & (size[:, 1] > 2.97)
    at, draw = at[lit], draw[lit]
    warm = _WINDOWS[(draw >> 8) % len(_WINDOWS)]
    light[at] += (
        warm
        * (0.12 + 0.3 * ((draw >> 12) % 64) / 64)[:, None].astype(np.float32)
        * seen.glass[at, None]
    )


def _reflect(
    snapshot: Snapshot,
    seen: Surfaces,
    directions: np.ndarray,
    weather: Weather,
    lights: Lights,
    light: np.ndarray,
    mirrors: bool,
) -> None:
    """Adds what glass, water and wet ground mirror, in place."""
    shine = _atlas().shine[seen.material] * (1 - seen.glass) + np.float32(0.45) * seen.glass
    # Tiles have grooves: a film of water lies on level surfaces only.
    level = seen.normal[:, 2] > 0.95
    if weather.rain:
        wet = _atlas().wets[seen.material] & level
        shine = np.where(wet, np.float32(0.6 * weather.rain), shine)
    fresnel = np.float32(0.08) + np.float32(0.92) * (1 - seen.facing) ** 3
    share = shine * fresnel
    at = np.flatnonzero(share > 0.02)
    if not len(at):
        return
    view, normal = directions[seen.at[at]], seen.normal[at]
    bounce = view - 2 * np.einsum("ij,ij->i", view, normal)[:, None] * normal
    mirrored = weather.sky(bounce)
    below = bounce[:, 2] < 0.02
    mirrored[below] = light[at][below] * 0.5
    if mirrors:
        deep = np.flatnonzero(level[at])
        if len(deep):
            # Ripples: mirrored directions tremble with the place on the surface.
            point = seen.point[at[deep]]
            ripple = np.float32(0.02) * np.sin(
                point[:, :2] * np.float32(7.0) + point[:, 1::-1] * np.float32(3.1)
            )
            rays = bounce[deep]
            rays[:, :2] += ripple
            rays /= np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None]
            start = point + normal[deep] * np.float32(0.02)
            mirrored[deep] = radiance(snapshot, start, rays, weather, lights, 0.01, False)[0]
    share = share[at, None]
    light[at] += (mirrored - light[at]) * share
