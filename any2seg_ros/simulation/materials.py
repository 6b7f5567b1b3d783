"""Materials: procedural textures, and how they reflect light and infrared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import floor
from typing import NamedTuple

import cv2
import numpy as np

from any2seg_ros.loops import inlined
from any2seg_ros.simulation.mesh import vector

TILE = 128
LEVELS = 7
_COARSE = 2**0.5
"""Texels per pixel above which the next mip level fits better."""


@dataclass(frozen=True)
class Material:
    """Name; size of a tile in metres, (u, v); infrared reflectance."""

    name: str
    size: tuple[float, float]
    infrared: float
    shine: float = 0.0
    """Specular reflectance when dry, 0..1."""
    wets: bool = False
    """Whether rain makes it reflective."""


Texture = Callable[[np.random.Generator], np.ndarray]
_TEXTURES: dict[str, tuple[Material, Texture]] = {}


def _texture(
    name: str, size: tuple[float, float], infrared: float, shine: float = 0.0, wets: bool = False
) -> Callable[[Texture], Texture]:
    def keep(paint: Texture) -> Texture:
        _TEXTURES[name] = (Material(name, size, infrared, shine, wets), paint)
        return paint

    return keep


def noise(
    rng: np.random.Generator, scales: tuple[int, ...], weights: tuple[float, ...]
) -> np.ndarray:
    """Smooth, tileable, zero-mean noise: a weighted sum of scales, float32 (TILE, TILE)."""
    total = np.zeros((TILE, TILE), np.float32)
    for scale, weight in zip(scales, weights, strict=True):
        small = rng.standard_normal((scale, scale)).astype(np.float32)
        tiled = np.tile(small, (3, 3))
        big = cv2.resize(tiled, (3 * TILE, 3 * TILE), interpolation=cv2.INTER_CUBIC)
        total += weight * big[TILE : 2 * TILE, TILE : 2 * TILE]
    return total


def _gray(values: np.ndarray, color: tuple[float, float, float] = (1, 1, 1)) -> np.ndarray:
    tile = np.zeros((TILE, TILE, 4), np.float32)
    tile[..., :3] = np.clip(values, 0.01, 1.0)[..., None] * vector(*color)
    return tile


@_texture("plain", (1.0, 1.0), 0.5)
def _plain(rng: np.random.Generator) -> np.ndarray:
    return _gray(1.0 + noise(rng, (8,), (0.015,)))


@_texture("paint", (2.0, 2.0), 0.55, shine=0.16)
def _paint(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.97 + noise(rng, (4,), (0.02,)))


@_texture("asphalt", (6.0, 6.0), 0.17, wets=True)
def _asphalt(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.095 + noise(rng, (3, 16, 128), (0.010, 0.005, 0.006)), (1.0, 1.0, 1.03))


@_texture("marking", (3.0, 3.0), 0.8, wets=True)
def _marking(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.72 + noise(rng, (16, 64), (0.06, 0.06)))


@_texture("slabs", (3.0, 3.0), 0.4, wets=True)
def _slabs(rng: np.random.Generator) -> np.ndarray:
    value = 0.40 + noise(rng, (4, 64), (0.02, 0.03))
    shade = np.repeat(np.repeat(rng.uniform(-0.05, 0.05, (4, 4)), 32, 0), 32, 1)
    value = value + shade
    value[::32], value[:, ::32] = 0.22, 0.22
    value[1::32] *= 0.85
    return _gray(value, (1.0, 0.97, 0.92))


@_texture("cobbles", (2.4, 2.4), 0.35, wets=True)
def _cobbles(rng: np.random.Generator) -> np.ndarray:
    value = np.full((TILE, TILE), 0.0, np.float32)
    for row in range(8):
        shift = 8 * (row % 2)
        for col in range(8):
            block = np.roll(value, -shift, 1)
            block[row * 16 + 1 : row * 16 + 15, col * 16 + 1 : col * 16 + 15] = rng.uniform(
                0.2, 0.42
            )
            value = np.roll(block, shift, 1)
    value[value == 0] = 0.12
    return _gray(value + noise(rng, (64,), (0.02,)), (1.05, 0.95, 0.82))


@_texture("grass", (5.0, 5.0), 0.6)
def _grass(rng: np.random.Generator) -> np.ndarray:
    value = 0.30 + noise(rng, (4, 16, 128), (0.03, 0.04, 0.06))
    tile = _gray(value, (0.52, 0.86, 0.24))
    dry = np.clip(noise(rng, (6, 12), (0.5, 0.4)), 0, 1)[..., None]
    tile[..., :3] = tile[..., :3] * (1 - 0.6 * dry) + dry * 0.6 * vector(0.32, 0.27, 0.12)
    return tile


@_texture("soil", (5.0, 5.0), 0.45)
def _soil(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.27 + noise(rng, (5, 24, 128), (0.04, 0.03, 0.04)), (1.0, 0.78, 0.52))


@_texture("leaves", (3.0, 3.0), 0.65)
def _leaves(rng: np.random.Generator) -> np.ndarray:
    value = 0.28 + noise(rng, (16, 40, 128), (0.10, 0.08, 0.05))
    return _gray(value, (0.55, 0.95, 0.32))


@_texture("bark", (1.0, 1.0), 0.4)
def _bark(rng: np.random.Generator) -> np.ndarray:
    value = 0.22 + noise(rng, (8, 64), (0.03, 0.04))
    value += 0.05 * np.sin(np.arange(TILE) * (2 * np.pi * 6 / TILE))[None]
    return _gray(value, (1.0, 0.8, 0.6))


@_texture("water", (9.0, 9.0), 0.05, shine=0.75)
def _water(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.10 + noise(rng, (12, 40), (0.02, 0.025)), (0.45, 0.8, 1.0))


@_texture("ballast", (1.2, 3.0), 0.3)
def _ballast(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(0.26 + noise(rng, (64, 128), (0.07, 0.06)), (1.0, 0.9, 0.8))
    sleeper = 0.14 + noise(rng, (8, 64), (0.01, 0.02))
    tile[:, 30:80, :3] = sleeper[:, 30:80, None] * vector(1.0, 0.8, 0.6)
    return tile


@_texture("steel", (1.0, 1.0), 0.6, shine=0.3)
def _steel(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.50 + noise(rng, (4, 64), (0.03, 0.03)), (0.96, 0.98, 1.0))


@_texture("beam", (4.0, 0.34), 0.65, shine=0.25)
def _beam(rng: np.random.Generator) -> np.ndarray:
    wave = 0.5 + 0.2 * np.cos(np.arange(TILE) * (4 * np.pi / TILE))[:, None]
    return _gray(wave + noise(rng, (8, 64), (0.03, 0.02)), (0.95, 0.98, 1.0))


@_texture("concrete", (4.0, 4.0), 0.4)
def _concrete(rng: np.random.Generator) -> np.ndarray:
    value = 0.42 + noise(rng, (3, 12, 128), (0.03, 0.03, 0.02))
    value[::64], value[:, ::128] = 0.3, 0.3
    return _gray(value, (1.0, 0.98, 0.94))


@_texture("stones", (2.0, 2.0), 0.4)
def _stones(rng: np.random.Generator) -> np.ndarray:
    value = np.zeros((TILE, TILE), np.float32)
    for row in range(6):
        y0, y1 = row * TILE // 6, (row + 1) * TILE // 6
        cuts = np.sort(rng.choice(np.arange(8, TILE - 8), 5, replace=False))
        for x0, x1 in zip([0, *cuts], [*cuts, TILE], strict=True):
            value[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = rng.uniform(0.26, 0.52)
    value[value == 0] = 0.15
    return _gray(value + noise(rng, (64,), (0.03,)), (1.0, 0.93, 0.8))


@_texture("bricks", (1.6, 1.6), 0.4)
def _bricks(rng: np.random.Generator) -> np.ndarray:
    tile = _brick_wall(rng)
    return tile


def _brick_wall(rng: np.random.Generator) -> np.ndarray:
    shade = np.zeros((TILE, TILE), np.float32)
    for row in range(16):
        line = np.repeat(rng.uniform(0.32, 0.5, 8), 16)
        line[::16] = 0.0
        shade[row * 8 + 1 : row * 8 + 8] = np.roll(line, 8 * (row % 2))
    mortar = shade == 0
    tile = _gray(shade + noise(rng, (64,), (0.02,)), (1.0, 0.48, 0.34))
    tile[mortar, :3] = 0.42
    return tile


def _window(
    tile: np.ndarray, x0: int, x1: int, y0: int, y1: int, frame: float, bars: int = 1
) -> np.ndarray:
    """Draw a window with its frame; y is up from the floor. Channel 3 marks glass."""
    tile[y0 - 3 : y1 + 3, x0 - 3 : x1 + 3, :3] = frame
    tile[y0:y1, x0:x1, :3] = 0.045
    tile[y0:y1, x0:x1, 3] = 1.0
    for k in range(1, bars + 1):
        x = x0 + (x1 - x0) * k // (bars + 1)
        tile[y0:y1, x - 1 : x + 2, :3] = frame
        tile[y0:y1, x - 1 : x + 2, 3] = 0.0
    tile[y0 - 6 : y0 - 3, x0 - 6 : x1 + 6, :3] = frame * 0.7
    return tile


@_texture("facade_plaster", (3.0, 3.2), 0.45)
def _facade_plaster(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(0.62 + noise(rng, (4, 64), (0.02, 0.02)))
    tile[:4, :, :3] *= 0.75
    return _window(tile, 40, 88, 38, 104, 0.75)


@_texture("facade_brick", (3.2, 3.3), 0.4)
def _facade_brick(rng: np.random.Generator) -> np.ndarray:
    tile = _brick_wall(rng)
    tile = np.repeat(np.repeat(tile[::2, ::2], 1, 0), 1, 1)
    tile = np.tile(tile, (2, 2, 1))
    tile[106:114, 34:94, :3] = 0.5
    return _window(tile, 38, 90, 36, 104, 0.8, 2)


@_texture("facade_glass", (2.4, 3.6), 0.3, shine=0.1)
def _facade_glass(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(0.33 + noise(rng, (8,), (0.02,)), (0.9, 0.96, 1.0))
    return _window(tile, 8, 120, 26, 122, 0.25, 1)


@_texture("facade_panel", (4.2, 3.0), 0.45)
def _facade_panel(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(0.5 + noise(rng, (3, 64), (0.03, 0.02)))
    tile[:3, :, :3], tile[:, :3, :3] = 0.25, 0.25
    tile[12:44, 76:122, :3] *= 0.7
    return _window(_window(tile, 14, 58, 44, 104, 0.7), 78, 120, 44, 104, 0.7, 0)


@_texture("shop", (4.5, 4.0), 0.4)
def _shop(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(0.42 + noise(rng, (4, 64), (0.02, 0.02)))
    tile[98:118, 6:122, :3] = vector(0.75, 0.25, 0.18)
    tile[102:114, 20:108:9, :3] = 0.8
    tile = _window(tile, 10, 86, 20, 94, 0.2, 1)
    return _window(tile, 96, 118, 4 + 2, 94, 0.3, 0)


@_texture("roof", (2.0, 2.0), 0.35)
def _roof(rng: np.random.Generator) -> np.ndarray:
    value = 0.3 + noise(rng, (8, 64), (0.03, 0.03))
    value[::16] *= 0.5
    return _gray(value, (1.0, 0.5, 0.36))


@_texture("glass", (1.0, 1.0), 0.08, shine=0.35)
def _glass(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(np.full((TILE, TILE), 0.03, np.float32), (0.8, 0.9, 1.0))
    tile[..., 3] = 1.0
    return tile


@_texture("tyre", (1.0, 1.0), 0.1)
def _tyre(rng: np.random.Generator) -> np.ndarray:
    return _gray(np.full((TILE, TILE), 0.03, np.float32))


@_texture("cloth", (0.6, 0.6), 0.5)
def _cloth(rng: np.random.Generator) -> np.ndarray:
    return _gray(0.85 + noise(rng, (8, 32), (0.08, 0.06)))


@_texture("bus_side", (1.5, 2.95), 0.5, shine=0.1)
def _bus_side(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(0.95 + noise(rng, (4,), (0.01,)))
    tile[30:38, :, :3] = 0.2
    tile[56:104, 6:122, :3] = 0.04
    tile[56:104, 6:122, 3] = 1.0
    return tile


@_texture("cargo", (2.5, 2.5), 0.55)
def _cargo(rng: np.random.Generator) -> np.ndarray:
    value = 0.8 + 0.1 * np.sign(np.sin(np.arange(TILE) * (2 * np.pi * 8 / TILE)))[None]
    return _gray(value + noise(rng, (4,), (0.02,)))


@_texture("stripes", (0.8, 0.8), 0.7)
def _stripes(rng: np.random.Generator) -> np.ndarray:
    diagonal = (np.arange(TILE)[:, None] + np.arange(TILE)[None]) // 32 % 2
    tile = _gray(0.75 + 0 * diagonal.astype(np.float32))
    tile[diagonal == 1, :3] = vector(0.7, 0.06, 0.05)
    return tile


@_texture("awning", (0.8, 0.8), 0.6)
def _awning(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(np.full((TILE, TILE), 0.85, np.float32))
    tile[:, (np.arange(TILE) // 32 % 2) == 1, :3] *= vector(1.0, 0.35, 0.1)
    return tile


@_texture("poster", (1.6, 1.6), 0.5)
def _poster(rng: np.random.Generator) -> np.ndarray:
    tile = _gray(np.full((TILE, TILE), 0.6, np.float32))
    for _ in range(9):
        x, y = rng.integers(0, 96, 2)
        w, h = rng.integers(16, 48, 2)
        tile[y : y + h, x : x + w, :3] = rng.uniform(0.05, 0.85, 3)
    return tile


@_texture("planks", (2.0, 2.0), 0.5)
def _planks(rng: np.random.Generator) -> np.ndarray:
    value = np.repeat(rng.uniform(0.3, 0.42, 8), 16)[None] + noise(rng, (8, 64), (0.02, 0.02))
    value[:, ::16] = 0.1
    return _gray(value, (1.0, 0.72, 0.42))


NAMES = tuple(_TEXTURES)
MATERIALS = tuple(material for material, _ in _TEXTURES.values())
M = {name: index for index, name in enumerate(NAMES)}
"""Material number by name."""


class Atlas(NamedTuple):
    """All tiles with their mip levels, and the properties of the materials.

    texels float32 (n, 4): linear red, green, blue, share of glass. The texel of material m, level
    l, row v, column u is number m * stride + offset[l] + v * side[l] + u.
    """

    texels: np.ndarray
    stride: int
    offset: np.ndarray
    side: np.ndarray
    size: np.ndarray
    infrared: np.ndarray
    shine: np.ndarray
    wets: np.ndarray
    glassy: np.ndarray
    """Which materials contain glass."""


@inlined
def texel(width, height, offsets, sides, u, v, footprint):
    """Number of the texel at (u, v) metres within a material, for a pixel of `footprint` metres.

    `width` and `height` are the tile size in metres; `offsets` and `sides` are the Atlas's.
    """
    texels, number = footprint * TILE / min(width, height), 0
    while texels > _COARSE and number < LEVELS - 1:
        texels, number = texels / 2, number + 1
    side = sides[number]
    across, down = u / width, v / height
    column = min(int((across - floor(across)) * side), side - 1)
    row = min(int((down - floor(down)) * side), side - 1)
    return offsets[number] + row * side + column


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The atlas of all materials, the same for every scene: towns vary the tints."""
    rows, sides = [], [TILE >> level for level in range(LEVELS)]
    for number, (_, paint) in enumerate(_TEXTURES.values()):
        tile = paint(np.random.default_rng([7, number]))
        for side in sides:
            small = (
                tile
                if side == TILE
                else cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA)
            )
            rows.append(small.reshape(-1, 4))
    areas = np.array([side * side for side in sides], np.int32)
    return Atlas(
        np.ascontiguousarray(np.concatenate(rows), np.float32),
        int(areas.sum()),
        np.concatenate([[0], np.cumsum(areas)[:-1]]).astype(np.int32),
        np.array(sides, np.int32),
        np.array([material.size for material in MATERIALS], np.float32),
        np.array([material.infrared for material in MATERIALS], np.float32),
        np.array([material.shine for material in MATERIALS], np.float32),
        np.array([material.wets for material in MATERIALS]),
        np.array([rows[k * LEVELS][:, 3].any() for k in range(len(MATERIALS))]),
    )
