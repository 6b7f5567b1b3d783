"""RVL, the lossless packing of depth images (Wilson, Fast Lossless Depth Image Compression, 2017).

Runs of holes and of depths follow each other. All numbers are written three bits at a time, the
fourth bit of a nibble says that there are more; depths are differences, their sign in the lowest
bit. compressed_depth_image_transport writes columns and rows as two int32 before them.
"""

from __future__ import annotations

import struct

import numpy as np

from any2seg_ros.loops import compiled
from any2seg_ros.messages.sizes import check_area
from any2seg_ros.types import InvalidMeasurement

_SIZE = 8
_BLANK = 10_000_000
"""Pixels at most of what few bytes claim: they are holes but for some 10,000 for each byte."""


def rvl_size(packed: np.ndarray) -> tuple[int, int] | None:
    """(width, height) that RVL data, uint8 (n,), say they have; None where they are too short."""
    if len(packed) < _SIZE:
        return None
    width, height = struct.unpack_from("<2i", packed[:_SIZE].tobytes())
    return width, height


def unpack_rvl(packed: np.ndarray) -> np.ndarray:
    """Depth uint16 (h, w) of RVL data, uint8 (n,); InvalidMeasurement where they are broken."""
    size = rvl_size(packed)
    if size is None:
        raise InvalidMeasurement("compressed depth is empty")
    width, height = size
    check_area("compressed depth", width, height)
    if width * height > _BLANK + 10_000 * len(packed):
        raise InvalidMeasurement(f"{len(packed)} bytes of RVL are no {width}x{height} pixels")
    whole = len(packed) - (len(packed) - _SIZE) % 4
    words = np.frombuffer(packed[_SIZE:whole].tobytes(), "<u4").astype(np.uint32, copy=False)
    depth = np.zeros(width * height, np.uint16)
    if not _unroll(words, depth):
        raise InvalidMeasurement("compressed depth is truncated, or it is no RVL")
    return depth.reshape(height, width)


@compiled
def _unroll(words: np.ndarray, depth: np.ndarray) -> bool:
    """Fills `depth`; False where the words end, or run beyond it, before it is full."""
    nibbles, at = 8 * len(words), 0
    pixel, previous = 0, 0
    left, holes = 0, False
    while pixel < len(depth):
        value, shift = 0, 0
        while True:
            if at >= nibbles or shift > 30:
                return False
            nibble = (words[at >> 3] >> np.uint32(28 - 4 * (at & 7))) & np.uint32(15)
            at += 1
            value |= (int(nibble) & 7) << shift
            shift += 3
            if not nibble & 8:
                break
        if left == 0:
            holes = not holes
            if value > len(depth) - pixel:
                return False
            if holes:
                pixel += value
            else:
                left = value
            continue
        previous += (value >> 1) ^ -(value & 1)
        depth[pixel] = np.uint16(previous & 0xFFFF)
        pixel += 1
        left -= 1
    return True
