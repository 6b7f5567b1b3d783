"""The size that a message says it has, before anything is made of that size."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from any2seg_ros.messages.buffers import as_bytes
from any2seg_ros.types import InvalidMeasurement

_LONGEST = 16384
LARGEST = 50_000_000
"""Pixels of an image at most."""
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_ALONE = (0x01, *range(0xD0, 0xD9))
"""Markers of a JPEG without a segment."""
_HEADER = 12
"""Bytes of compressed_depth_image_transport's ConfigHeader before the PNG."""


def check_area(what: str, width: int, height: int, largest: int = LARGEST) -> None:
    """Unusable for a raster of no pixel, or of more than `largest`: that size is a fault."""
    sides = 0 < width <= _LONGEST and 0 < height <= _LONGEST
    if not sides or width * height > largest:
        raise InvalidMeasurement(f"{what} has an absurd size: {width}x{height}")


def image_size(msg: Any) -> tuple[int, int] | None:
    """(width, height) that an Image, CompressedImage, EventPacket or EventArray says it has.

    None for a packed image that is neither JPEG nor PNG.
    """
    if hasattr(msg, "width"):
        return int(msg.width), int(msg.height)
    return packed_size(packed_image(msg))


def packed_image(msg: Any) -> np.ndarray:
    """The bytes of a CompressedImage, behind compressedDepth's header where there is one."""
    data = as_bytes(msg.data)
    return data[_HEADER:] if "compresseddepth" in str(msg.format).lower() else data


def packed_size(data: np.ndarray) -> tuple[int, int] | None:
    """(width, height) from the header of a JPEG or PNG, uint8 (n,); None for everything else."""
    if bytes(data[:8]) == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = data[16:24].view(">u4")
        return int(width), int(height)
    return jpeg_size(data)


def jpeg_size(data: np.ndarray) -> tuple[int, int] | None:
    """(width, height) from the frame header of a JPEG (ITU-T T.81, B.2.2), None if it has none.

    What stands between segments and belongs to none is passed over, as libjpeg does.
    """
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    at = 2
    while (found := _MARKER.search(data.data, at)) and found.end() + 7 <= len(data):
        at = found.end()
        marker = int(data[at - 1])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 3 : at + 7].view(">u2")
            return int(width), int(height)
        if marker not in _ALONE:
            at += int(data[at]) << 8 | int(data[at + 1])
    return None
