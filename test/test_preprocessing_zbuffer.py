"""The z-buffer, against a loop over the points."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.preprocessing.zbuffer import nearest


def slowly(pixel, distance, width, height, dilation):
    best = {}
    before = (dilation - 1) // 2
    for i, (p, d) in enumerate(zip(pixel, distance, strict=True)):
        v, u = divmod(int(p), width)
        for dv in range(-before, dilation - before):
            for du in range(-before, dilation - before):
                if 0 <= v + dv < height and 0 <= u + du < width:
                    key = (v + dv) * width + u + du
                    if key not in best or d < distance[best[key]]:
                        best[key] = i
    return best


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_the_nearest_point_wins_on_every_pixel(dilation):
    random = np.random.default_rng(dilation)
    pixel = random.integers(0, 20 * 12, 150)
    distance = random.uniform(0.1, 100, 150).astype(np.float32)
    point = nearest(pixel, distance, 20, 12, dilation)
    best = slowly(pixel, distance, 20, 12, dilation)
    assert point.tolist() == [best.get(key, len(pixel)) for key in range(20 * 12)]


def test_points_that_only_fill_gaps_leave_other_points_alone():
    pixel, distance = np.array([5, 6]), np.array([1.0, 9.0], np.float32)
    assert nearest(pixel, distance, 4, 3, 2).tolist()[4:8] == [2, 0, 0, 1]
    point = nearest(pixel, distance, 4, 3, 2, only_gaps=True)
    assert point.tolist() == [2, 2, 2, 2, 2, 0, 1, 1, 2, 0, 0, 1]


def test_nothing_covers_nothing():
    point = nearest(np.zeros(0, np.intp), np.zeros(0, np.float32), 4, 3, 2)
    assert point.tolist() == [0] * 12


def test_a_point_wider_than_the_image_covers_it():
    assert nearest(np.array([0]), np.ones(1, np.float32), 2, 2, 9).tolist() == [0, 0, 0, 0]
