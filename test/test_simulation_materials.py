"""The texture atlas: its numbering, its mip levels and its tiles."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.materials import LEVELS, MATERIALS, TILE, M, atlas, noise, texel


def number(name: str, u: float, v: float, footprint: float) -> int:
    table, material = atlas(), MATERIALS[M[name]]
    return texel(*material.size, table.offset, table.side, u, v, footprint)


def test_fine_pixels_take_the_full_tile_and_coarse_ones_its_mean() -> None:
    table = atlas()
    size = MATERIALS[M["slabs"]].size[0]
    assert number("slabs", 0.0, 0.0, 0.1 * size / TILE) == 0
    last = number("slabs", 0.0, 0.0, 100 * size)
    assert last == table.offset[LEVELS - 1]
    tile = table.texels[M["slabs"] * table.stride :][: TILE * TILE, :3]
    coarse = table.texels[M["slabs"] * table.stride + table.offset[LEVELS - 1] :][
        : table.side[-1] ** 2, :3
    ]
    assert np.allclose(coarse.mean(0), tile.mean(0), rtol=0.01)


def test_a_texture_repeats_after_its_size() -> None:
    width, height = MATERIALS[M["bricks"]].size
    first = number("bricks", 0.305, 0.403, 0.001)
    assert number("bricks", 0.305 + 3 * width, 0.403 - 2 * height, 0.001) == first


def test_texels_are_reflectances_and_glass_is_marked() -> None:
    table = atlas()
    assert len(table.texels) == len(MATERIALS) * table.stride
    assert (table.texels >= 0).all() and (table.texels[:, 3] <= 1).all()
    assert table.glassy[M["facade_glass"]] and not table.glassy[M["asphalt"]]
    assert table.wets[M["asphalt"]] and not table.wets[M["grass"]]


@pytest.mark.parametrize("scale", [4, 16])
def test_noise_is_smooth_across_the_edge_of_a_tile(scale: int) -> None:
    value = noise(np.random.default_rng(0), (scale,), (1.0,))
    inside = np.abs(np.diff(value, axis=1)).max()
    assert np.abs(value[:, 0] - value[:, -1]).max() <= 1.2 * inside
