"""Windows of a frame: every raster is cut at the same place, and a camera sees what is cut."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.training.window import Window
from any2seg_ros.types import Camera

SIZE = (24, 16)


def drawn(seed, zoom=2.0, stretch=1.0):
    return Window.drawn((32, 48), SIZE, zoom, stretch, np.random.default_rng(seed))


def test_rasters_of_other_sizes_are_cut_at_the_same_place():
    coarse = np.arange(32 * 48, dtype=np.float32).reshape(32, 48)
    fine = np.kron(coarse, np.ones((2, 2), np.float32))
    for seed in range(20):
        window = drawn(seed)
        small = window.planes(coarse[None], 0)[0]
        assert (
            np.array_equal(window.nearest(fine)[::2, ::2], small)
            or (np.abs(window.nearest(fine)[::2, ::2] - small) % 47 <= 1).mean() > 0.9
        )


def test_without_zoom_a_window_of_the_images_size_is_all_of_it():
    window = Window.drawn((32, 48), (48, 32), 1.0, 1.0, np.random.default_rng(0))
    assert (window.top, window.left, window.rows, window.columns) == (0, 0, 1, 1)


@pytest.mark.parametrize("zoom", [1.0, 1.5, 3.0])
def test_nothing_is_magnified_more_than_it_may_be(zoom):
    for seed in range(50):
        window = drawn(seed, zoom)
        assert SIZE[1] / (window.rows * 32) <= zoom * 1.1
        assert SIZE[0] / (window.columns * 48) <= zoom * 1.1


def test_stretched_windows_are_magnified_more_upwards_and_show_no_more_than_there_is():
    ratios = []
    for seed in range(300):
        window = Window.drawn((144, 256), (192, 112), 1.6, 2.0, np.random.default_rng(seed))
        assert 0 <= window.top <= window.top + window.rows <= 1.0001
        assert 0 <= window.left <= window.left + window.columns <= 1.0001
        ratios.append((112 / window.rows / 144) / (192 / window.columns / 256))
    assert max(ratios) > 1.6 and min(ratios) > 0.5 and abs(np.median(ratios) - 1) < 0.25


def test_the_camera_of_a_window_projects_points_to_where_the_window_shows_them():
    view = Camera(48, 32, 30.0, 31.0, 23.0, 15.5, (0.1,) + (0.0,) * 4)
    window = Window(0.25, 0.5, 0.5, 0.25, SIZE)
    camera = window.camera(view)
    assert (camera.width, camera.height) == SIZE and camera.distortion == view.distortion
    # The ray through the window's upper left corner, at half a pixel before the first.
    left, top = 0.5 * 48 - 0.5, 0.25 * 32 - 0.5
    slope = (left - view.cx) / view.fx, (top - view.cy) / view.fy
    assert camera.cx + camera.fx * slope[0] == pytest.approx(-0.5)
    assert camera.cy + camera.fy * slope[1] == pytest.approx(-0.5)


def test_pictures_are_averaged_where_they_get_smaller():
    checks = np.indices((64, 96)).sum(0) % 2 * np.uint8(255)
    window = Window(0, 0, 1, 1, (24, 16))
    assert np.ptp(window.area(checks.astype(np.uint8))) < 20
