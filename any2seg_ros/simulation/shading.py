"""Shading: from rays and their hits to radiance."""

from __future__ import annotations

from math import floor, sin, sqrt
from typing import NamedTuple

import numpy as np

from any2seg_ros.loops import compiled, inlined
from any2seg_ros.simulation.materials import atlas, texel
from any2seg_ros.simulation.snapshot import Hits, Snapshot
from any2seg_ros.simulation.weather import Weather, added, clarity, dot, mixed, sky_light

_LAMP = (1.0, 0.72, 0.4)
_REACH = 22.0
"""Range of a street lamp, m."""
_HEADLIGHT = (1.0, 0.95, 0.85)
_WINDOWS = ((1.0, 0.75, 0.4), (1.0, 0.9, 0.7), (0.6, 0.75, 1.0), (1.0, 0.6, 0.25))
_DULL = 0.02
"""Specular share below which reflections are not computed."""


class Lights(NamedTuple):
    """Street lamps float32 (n, 3), and position and direction of the headlights float32 (3,)."""

    lamps: np.ndarray
    headlight: np.ndarray
    forward: np.ndarray


class Surfaces(NamedTuple):
    """Surface data at the hits, one row per ray that hit something."""

    ray: np.ndarray
    """Ray number, int32 (n,)."""
    point: np.ndarray
    """Hit point in the world, float32 (n, 3)."""
    normal: np.ndarray
    """Unit normal towards the viewer, float32 (n, 3)."""
    distance: np.ndarray
    """Distance from the ray's origin in metres, float32 (n,)."""
    facing: np.ndarray
    """Cosine between normal and ray, float32 (n,), 0..1."""
    material: np.ndarray
    color: np.ndarray
    """Albedo, float32 (n, 3)."""
    glass: np.ndarray
    """Share of glass, float32 (n,)."""
    emission: np.ndarray
    uv: np.ndarray
    face: np.ndarray


def surfaces(
    snapshot: Snapshot, origins: np.ndarray, directions: np.ndarray, hits: Hits, pixel: float
) -> Surfaces:
    """The surfaces hit by unit rays; `pixel` is the angle between neighbouring rays in radians."""
    faces = snapshot.faces
    return Surfaces(
        *_gather(
            hits, faces.shape, faces.material, snapshot.turns, origins, directions, pixel, atlas()
        )
    )


@compiled
def _gather(hits, shapes, materials, turns, origins, directions, pixel, table):
    at = np.flatnonzero(hits.face >= 0).astype(np.int32)
    n = len(at)
    point, normal = np.empty((n, 3), np.float32), np.empty((n, 3), np.float32)
    distance, facing = np.empty(n, np.float32), np.empty(n, np.float32)
    material, color = np.empty(n, np.int32), np.empty((n, 3), np.float32)
    glass, emission = np.empty(n, np.float32), np.empty(n, np.float32)
    uv, face = np.empty((n, 2), np.float32), np.empty(n, np.int32)
    faces, distances, instances, places = hits.face, hits.distance, hits.instance, hits.barycentric
    texels, sizes, offsets, sides = table.texels, table.size, table.offset, table.side
    stride, several = table.stride, len(origins) > 1
    for i in range(n):
        ray = at[i]
        number, reach = faces[ray], distances[ray]
        view = _triple(directions, ray)
        _put(point, i, added(_triple(origins, ray if several else 0), view, reach))
        c, s = turns[instances[ray], 0], turns[instances[ray], 1]
        x, y, z = shapes[number, 6], shapes[number, 7], shapes[number, 8]
        x, y = c * x - s * y, c * y + s * x
        cosine = x * view[0] + y * view[1] + z * view[2]
        if cosine > 0:
            x, y, z = -x, -y, -z
        _put(normal, i, (x, y, z))
        u, v = places[ray, 0], places[ray, 1]
        across = shapes[number, 0] + u * shapes[number, 2] + v * shapes[number, 4]
        down = shapes[number, 1] + u * shapes[number, 3] + v * shapes[number, 5]
        kind = materials[number]
        footprint = reach * pixel / sqrt(max(abs(cosine), np.float32(0.12)))
        seen = kind * stride + texel(
            sizes[kind, 0], sizes[kind, 1], offsets, sides, across, down, footprint
        )
        for channel in range(3):
            color[i, channel] = texels[seen, channel] * shapes[number, 9 + channel]
        face[i], distance[i], facing[i], material[i] = number, reach, abs(cosine), kind
        glass[i], emission[i], uv[i, 0], uv[i, 1] = (
            texels[seen, 3],
            shapes[number, 12],
            across,
            down,
        )
    return at, point, normal, distance, facing, material, color, glass, emission, uv, face


@inlined
def _triple(rows, i):
    return rows[i, 0], rows[i, 1], rows[i, 2]


@inlined
def _put(rows, i, triple):
    rows[i, 0], rows[i, 1], rows[i, 2] = triple


def radiance(
    snapshot: Snapshot,
    origins: np.ndarray,
    directions: np.ndarray,
    weather: Weather,
    lights: Lights,
    pixel: float,
    mirrors: bool = True,
) -> tuple[np.ndarray, Hits]:
    """Light along unit rays, linear RGB float32 (n, 3), and their hits.

    Origins float32 (n, 3), or (1, 3) if shared; directions float32 (n, 3). `mirrors` follows
    reflections on wet roads and water once.
    """
    hits = snapshot.trace(origins, directions)
    color = np.empty_like(directions)
    _add_sky(color, hits.face, directions, weather.sky, weather.clouds)
    seen = surfaces(snapshot, origins, directions, hits, pixel)
    shaded = np.zeros(len(seen.ray), np.bool_)
    if weather.shadows:
        toward, start = _facing_sun(seen, weather.sun)
        shaded[toward] = snapshot.blocked(start, weather.sun)
    deep, mirrored = np.zeros(0, np.int32), np.zeros((0, 3), np.float32)
    if mirrors:
        deep, start, rays = _mirror_rays(seen, directions, weather.rain, atlas())
        if len(deep):
            mirrored = radiance(snapshot, start, rays, weather, lights, 0.01, False)[0]
    _add_surfaces(
        color, seen, shaded, deep, mirrored, directions,
        weather.sky, weather.clouds, lights, atlas(),
    )  # fmt: skip
    return color, hits


@compiled
def _add_sky(color, face, directions, sky, clouds):
    for i in range(len(face)):
        if face[i] < 0:
            _put(color, i, sky_light(sky, clouds, _triple(directions, i)))


@compiled
def _facing_sun(seen, sun):
    """Rows of the surfaces that face the sun, and the origins of their shadow rays."""
    normal, point = seen.normal, seen.point
    cosine = normal[:, 0] * sun[0] + normal[:, 1] * sun[1] + normal[:, 2] * sun[2]
    toward = np.flatnonzero(cosine > 0.02)
    start = np.empty((len(toward), 3), np.float32)
    for row in range(len(toward)):
        i = toward[row]
        _put(start, row, added(_triple(point, i), _triple(normal, i), np.float32(0.02)))
    return toward, start


@compiled
def _mirror_rays(seen, directions, rain, table):
    """Rows of level reflective surfaces, with origins and directions of the reflected rays.

    Ripples vary the directions with the position.
    """
    at, normal, point, material = seen.ray, seen.normal, seen.point, seen.material
    glass, facing, shine, wets = seen.glass, seen.facing, table.shine, table.wets
    n, count = len(at), 0
    deep = np.empty(n, np.int32)
    start, rays = np.empty((n, 3), np.float32), np.empty((n, 3), np.float32)
    for i in range(n):
        if normal[i, 2] <= 0.95:
            continue
        kind = material[i]
        if _shine(shine[kind], wets[kind], glass[i], facing[i], normal[i, 2], rain) <= _DULL:
            continue
        x, y, z = _reflect(_triple(directions, at[i]), _triple(normal, i))
        x += 0.02 * sin(point[i, 0] * np.float32(7.0) + point[i, 1] * np.float32(3.1))
        y += 0.02 * sin(point[i, 1] * np.float32(7.0) + point[i, 0] * np.float32(3.1))
        length = sqrt(x * x + y * y + z * z)
        _put(rays, count, (x / length, y / length, z / length))
        _put(start, count, added(_triple(point, i), _triple(normal, i), np.float32(0.02)))
        deep[count] = i
        count += 1
    return deep[:count].copy(), start[:count].copy(), rays[:count].copy()


@inlined
def _shine(dry, wets, glass, facing, level, rain):
    """Specular share of a surface."""
    shine = dry * (1.0 - glass) + 0.45 * glass
    # Only level surfaces hold a film of water.
    if rain > 0 and wets and level > 0.95:
        shine = 0.6 * rain
    edge = 1.0 - facing
    return shine * (0.08 + 0.92 * edge * edge * edge)


@inlined
def _reflect(view, normal):
    return added(view, normal, -2.0 * dot(view, normal))


@compiled
def _add_surfaces(color, seen, shaded, deep, mirrored, directions, sky, clouds, lights, table):
    """Set the colour of the rays that hit; `mirrored` is the light that rows `deep` reflect."""
    at, normals, points, distance = seen.ray, seen.normal, seen.point, seen.distance
    material, albedo, glass, emission = seen.material, seen.color, seen.glass, seen.emission
    facing, uv, face = seen.facing, seen.uv, seen.face
    shine, wets, sizes = table.shine, table.wets, table.size
    lamps, place = lights.lamps, _components(lights.headlight)
    forward = _components(lights.forward)
    step = 0
    for i in range(len(at)):
        kind, normal, point = material[i], _triple(normals, i), _triple(points, i)
        light = _daylight(sky, normal, shaded[i])
        if sky.night:
            for lamp in range(len(lamps)):
                light = _lamplight(light, point, normal, _triple(lamps, lamp))
            light = _headlight(light, point, normal, place, forward)
        dark = 0.6 if sky.rain > 0 and wets[kind] and normal[2] > 0.8 else 1.0
        shown = emission[i] * (1.6 if sky.night else 0.8)
        light = (
            dark * albedo[i, 0] * (light[0] + shown),
            dark * albedo[i, 1] * (light[1] + shown),
            dark * albedo[i, 2] * (light[2] + shown),
        )
        share = _shine(shine[kind], wets[kind], glass[i], facing[i], normal[2], sky.rain)
        if step < len(deep) and deep[step] == i:
            light = mixed(light, _triple(mirrored, step), share)
            step += 1
        elif share > _DULL:
            ray = _reflect(_triple(directions, at[i]), normal)
            light = _mirrored_sky(light, share, ray, sky, clouds)
        if sky.night and glass[i] > 0.3 and emission[i] == 0 and sizes[kind, 1] > 2.97:
            column = int(floor(uv[i, 0] / sizes[kind, 0]))
            row = int(floor(uv[i, 1] / sizes[kind, 1]))
            light = _lit_window(light, glass[i], column, row, face[i])
        _put(color, at[i], mixed(sky.air, light, clarity(sky, distance[i])))


@inlined
def _components(triple):
    return triple[0], triple[1], triple[2]


@inlined
def _daylight(sky, normal, shaded):
    """Light from sky, ground and sun on a surface."""
    ground = added(sky.zenith, sky.sunlight, 0.5 * max(sky.sun[2], 0.0))
    ground = (0.22 * ground[0], 0.22 * ground[1], 0.22 * ground[2])
    over = mixed(sky.horizon, sky.zenith, 0.65)
    light = mixed(ground, over, 0.5 + 0.5 * normal[2])
    direct = 0.0 if shaded else min(max(dot(normal, sky.sun), 0.0), 1.0)
    return added((1.25 * light[0], 1.25 * light[1], 1.25 * light[2]), sky.sunlight, direct)


@inlined
def _lamplight(light, point, normal, lamp):
    away = added(lamp, point, -1.0)
    square = dot(away, away)
    if square >= _REACH * _REACH:
        return light
    cosine = max(dot(away, normal), 0.0) / sqrt(square)
    fall = (1.0 - square / (_REACH * _REACH)) / (square + 6.0)
    beam = 4.5 if away[2] > 0 else 4.5 * 0.15
    return added(light, _LAMP, cosine * fall * beam)


@inlined
def _headlight(light, point, normal, place, forward):
    ray = added(point, place, -1.0)
    square = dot(ray, ray) + 0.5
    distance = sqrt(square)
    cone = min(max((dot(ray, forward) / distance - 0.84) / 0.15, 0.0), 1.0)
    # Low beam: little light upwards.
    cone *= min(max(1.0 - (ray[2] / distance) * 9.0, 0.12), 1.0)
    cosine = min(max(-dot(ray, normal) / distance, 0.05), 1.0)
    return added(light, _HEADLIGHT, cone * cosine * 26.0 / (square + 20.0))


@inlined
def _mirrored_sky(light, share, ray, sky, clouds):
    """`light` with the reflected sky, or a dark street below the horizon."""
    if ray[2] < 0.02:
        return mixed(light, (0.5 * light[0], 0.5 * light[1], 0.5 * light[2]), share)
    return mixed(light, sky_light(sky, clouds, ray), share)


@inlined
def _lit_window(light, glass, column, row, face):
    """`light`, with a lamp behind some of the windows."""
    draw = (column * 73856093) ^ (row * 19349663) ^ ((int(face) // 2) * 83492791)
    draw = (draw * 2654435761) & 0xFFFFFFFF
    if draw % 100 >= 38:
        return light
    strength = (0.12 + 0.3 * ((draw >> 12) % 64) / 64) * glass
    return added(light, _WINDOWS[(draw >> 8) % 4], strength)
