"""Raw images as zstd_image_transport packs them: a header, then the pixels, with zlib for all its
name.

The header, little endian: height and width (uint32), is_bigendian (uint8), step and the length of
the encoding's name (uint32), and that name.
"""

from __future__ import annotations

import struct
import zlib
from types import SimpleNamespace
from typing import Any

from any2seg_ros.messages.buffers import as_bytes
from any2seg_ros.messages.sizes import check_area
from any2seg_ros.types import InvalidMeasurement

_HEADER = struct.Struct("<2IB2I")
_LONGEST_NAME = 64
_LARGEST = 400_000_000
"""Bytes of an unpacked image at most."""
_DEFLATE = 1032
"""Largest ratio of deflate (RFC 1951)."""
_ANY_HEADER = zlib.MAX_WBITS | 32
"""Of zlib or of gzip."""


def is_zipped(msg: Any) -> bool:
    """Whether a CompressedImage is one of zstd_image_transport."""
    return str(getattr(msg, "format", "")).strip().lower() == "zstd"


def zipped_size(msg: Any) -> tuple[int, int] | None:
    """(width, height) that it says it has; None where it is cut off."""
    data = as_bytes(msg.data)
    if len(data) < _HEADER.size:
        return None
    height, width, *_ = _HEADER.unpack(data[: _HEADER.size].tobytes())
    return width, height


def unzipped(msg: Any) -> Any:
    """The sensor_msgs/Image in it, but its header; InvalidMeasurement where it is broken."""
    data = as_bytes(msg.data).tobytes()
    if len(data) < _HEADER.size:
        raise InvalidMeasurement("compressed image cannot be unpacked: its header is cut off")
    height, width, big, step, length = _HEADER.unpack_from(data)
    check_area("compressed image", width, height)
    begin = _HEADER.size + length
    size = step * height
    if length > _LONGEST_NAME or not 0 < size <= min(_LARGEST, _DEFLATE * (len(data) - begin)):
        raise InvalidMeasurement("compressed image cannot be unpacked: its header is broken")
    try:
        pixels = zlib.decompressobj(_ANY_HEADER).decompress(data[begin:], size)
    except zlib.error as error:
        raise InvalidMeasurement(f"compressed image cannot be unpacked: {error}") from None
    return SimpleNamespace(
        height=height,
        width=width,
        encoding=data[_HEADER.size : begin].decode("ascii", "replace"),
        is_bigendian=big,
        step=step,
        data=pixels,
    )
