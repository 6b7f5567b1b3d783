"""The size that a message says it has, before anything is made of that size."""

from __future__ import annotations

from any2seg_ros.types import InvalidMeasurement

_LONGEST = 16384
LARGEST = 50_000_000
"""Pixels of an image at most."""


def check_area(what: str, width: int, height: int, largest: int = LARGEST) -> None:
    """InvalidMeasurement for a raster of no pixel, or of more than `largest`: it is a fault."""
    sides = 0 < width <= _LONGEST and 0 < height <= _LONGEST
    if not sides or width * height > largest:
        raise InvalidMeasurement(f"{what} has an absurd size: {width}x{height}")
