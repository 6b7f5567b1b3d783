"""A size is a fault before anything is made of that size."""

from __future__ import annotations

import pytest

from any2seg_ros.messages.sizes import LARGEST, check_area
from any2seg_ros.types import InvalidMeasurement


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (16384, 1), (1, 16384), (8000, LARGEST // 8000)],
)
def test_sizes_of_cameras_that_there_are_pass(width, height):
    check_area("image", width, height)


@pytest.mark.parametrize(
    ("width", "height"),
    [(0, 5), (5, 0), (-1, -1), (16385, 1), (1, 16385), (8000, LARGEST // 8000 + 1)],
)
def test_no_pixel_too_long_a_side_or_too_many_pixels_are_refused_with_the_size(width, height):
    with pytest.raises(
        InvalidMeasurement, match=f"^compressed depth has an absurd size: {width}x{height}$"
    ):
        check_area("compressed depth", width, height)


def test_a_sensor_may_have_a_limit_of_its_own():
    check_area("event sensor", 100, 100, 10_000)
    with pytest.raises(InvalidMeasurement, match="101x100"):
        check_area("event sensor", 101, 100, 10_000)
