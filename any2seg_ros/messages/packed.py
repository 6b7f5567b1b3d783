"""Packed pictures, walked before anything is unpacked: what their bytes may cost is known then.

A file of a hundred bytes may claim any size. So a picture is handed to OpenCV only when its header
was read, its parts lie within its bytes, and its bytes suffice for the pixels that it claims.
Formats: ITU-T T.81 (JPEG), PNG third edition (W3C), RFC 9649 (WebP), TIFF 6.0, Windows' BMP.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from any2seg_ros.messages.sizes import check_area
from any2seg_ros.types import InvalidMeasurement

_SEGMENTS = 1000
"""Segments before the picture of a JPEG at most: an ICC profile or EXIF take some hundred."""
_SCANS = 100
_SCANNED = 500_000_000
"""Pixels of all scans of a progressive JPEG at most: each scan walks the whole picture again."""
_CHUNKS = 10_000
_TEXTS = (b"zTXt", b"iTXt", b"iCCP")
"""Parts of a PNG beside its picture that libpng unpacks, each to at most 8 MB."""
_TEXT, _ALL_TEXT = 8_000_000, 32_000_000
_DEFLATE = 1032
"""Largest ratio of deflate (RFC 1951); LZW of TIFF reaches twice that."""
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_ALONE = (0x01, *range(0xD0, 0xD9))
"""Markers of a JPEG without a segment."""
_GARBAGE = 1 << 16
"""Bytes between two segments of a JPEG at most."""
_HEAVIEST = 200_000_000
"""Bytes of an unpacked picture at most."""
PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
READ = "JPEG, PNG, WebP, BMP and TIFF"
"""What is unpacked."""


@dataclass(frozen=True)
class PackedHeader:
    """What a packed picture says of itself: its format, and its size in pixels."""

    form: str
    width: int
    height: int


def check_packed(data: np.ndarray, what: str = "compressed image") -> PackedHeader:
    """The header of a packed picture, uint8 (n,), that is safe to unpack.

    InvalidMeasurement for what is too large, broken, a bomb, or of a format that is not read.
    """
    view = np.ascontiguousarray(data).data
    walk = _walker(bytes(view[:16]))
    if walk is None:
        raise InvalidMeasurement(f"{what} cannot be unpacked: it is none of {READ}")
    try:
        header = walk(view, what)
    except (struct.error, IndexError):
        raise InvalidMeasurement(f"{what} cannot be unpacked: its header is cut off") from None
    return header


def _walker(head: bytes) -> Callable[[memoryview, str], PackedHeader] | None:
    if head[:2] == b"\xff\xd8":
        return _walk_jpeg
    if head[:8] == PNG:
        return _walk_png
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _walk_webp
    if head[:2] == b"BM":
        return _walk_bmp
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _walk_tiff
    return None


def _broken(what: str, why: str) -> InvalidMeasurement:
    return InvalidMeasurement(f"{what} cannot be unpacked: {why}")


def jpeg_frame(data: memoryview) -> tuple[int, int] | None:
    """(marker, where its segment begins) of the frame header of a JPEG; None if it has none.

    What stands between segments and belongs to none is passed over, as libjpeg does.
    InvalidMeasurement for more segments than any camera writes.
    """
    at = 2
    for _ in range(_SEGMENTS):
        found = _MARKER.search(data, at, at + _GARBAGE)
        if found is None or found.end() + 7 > len(data):
            return None
        at = found.end()
        marker = data[at - 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker, at
        if marker not in _ALONE:
            at += data[at] << 8 | data[at + 1]
    raise InvalidMeasurement(f"compressed image has more than {_SEGMENTS} segments")


def _walk_jpeg(data: memoryview, what: str) -> PackedHeader:
    frame = jpeg_frame(data)
    if frame is None:
        raise _broken(what, "it has no frame header")
    marker, at = frame
    height, width = struct.unpack_from(">2H", data, at + 3)
    check_area(what, width, height)
    # A block of 64 pixels takes a bit at least, and the first components' blocks are all there.
    if width * height > 512 * len(data):
        raise _broken(what, f"{len(data)} bytes are no {width}x{height} pixels")
    scans = _scans(data, marker, at)
    if scans > _SCANS or scans * width * height > _SCANNED:
        raise _broken(what, f"its {scans} scans are too many")
    return PackedHeader("jpeg", width, height)


def _scans(data: memoryview, marker: int, at: int) -> int:
    """Scans of a JPEG, counted only where there may be many: not if the first has it all."""
    components = data[at + 7]
    if marker in (0xC0, 0xC1):
        for _ in range(_SEGMENTS):
            at += data[at] << 8 | data[at + 1]
            found = _MARKER.search(data, at, at + _GARBAGE)
            if found is None:
                break
            at = found.end()
            if data[at - 1] == 0xDA:
                if data[at + 2] >= components:
                    return 1
                break
    return bytes(data).count(b"\xff\xda", at - 2)


def _walk_png(data: memoryview, what: str) -> PackedHeader:
    length, kind = struct.unpack_from(">I4s", data, 8)
    width, height, bits, colour, *_, interlaced = struct.unpack_from(">2I5B", data, 16)
    if length != 13 or kind != b"IHDR" or colour not in _PNG_CHANNELS or interlaced > 1:
        raise _broken(what, "its header is none of PNG's")
    check_area(what, width, height)
    line = 1 + (width * bits * _PNG_CHANNELS[colour] + 7) // 8
    packed = _png_chunks(data, what)
    if packed * _DEFLATE < line * height or line * height > _HEAVIEST:
        raise _broken(what, f"{packed} bytes are no {width}x{height} pixels")
    return PackedHeader("png", width, height)


def _png_chunks(data: memoryview, what: str) -> int:
    """Bytes of the picture in a PNG whose chunks all lie within its bytes."""
    at, packed, text = 8, 0, 0
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            raise _broken(what, "it is cut off")
        length, kind = struct.unpack_from(">I4s", data, at)
        if length > len(data) - at - 12 and (kind != b"IEND" or length):
            raise _broken(what, f"a part of {length} bytes reaches beyond its end")
        if kind == b"IEND":
            return packed
        if kind == b"acTL":
            raise _broken(what, "it is animated")
        packed += length if kind == b"IDAT" else 0
        text += min(length * _DEFLATE, _TEXT) if kind in _TEXTS else 0
        if text > _ALL_TEXT:
            raise _broken(what, f"its texts may become more than {_ALL_TEXT // 1_000_000} MB")
        at += 12 + length
    raise _broken(what, f"it has more than {_CHUNKS} parts")


def _walk_webp(data: memoryview, what: str) -> PackedHeader:
    (claimed,), kind = struct.unpack_from("<I", data, 4), bytes(data[12:16])
    if claimed + 8 > len(data) + 1:
        raise _broken(what, "it is cut off")
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<2H", data, 26))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X" and not data[20] & 0x02:
        wide, high = bytes(data[24:27]), bytes(data[27:30])
        width, height = (int.from_bytes(side, "little") + 1 for side in (wide, high))
    else:
        raise _broken(what, "it is animated, or no WebP")
    return _sparse(data, what, "webp", width, height)


def _sparse(data: memoryview, what: str, form: str, width: int, height: int) -> PackedHeader:
    """The header of a picture whose format knows no least number of bytes for a pixel."""
    check_area(what, width, height)
    if width * height > 65536 + 4096 * len(data):
        raise _broken(what, f"{len(data)} bytes are no {width}x{height} pixels")
    return PackedHeader(form, width, height)


def _walk_bmp(data: memoryview, what: str) -> PackedHeader:
    begin, header, width, height = struct.unpack_from("<2I2i", data, 10)
    _, bits, packing = struct.unpack_from("<2HI", data, 26)
    if header < 40 or bits not in (8, 24, 32) or packing not in (0, 3):
        raise _broken(what, "of BMP, only 8, 24 and 32 bits without packing are read")
    check_area(what, width, abs(height))
    if begin + (width * bits + 31) // 32 * 4 * abs(height) > len(data):
        raise _broken(what, "it is cut off")
    return PackedHeader("bmp", width, abs(height))


_TIFF_NUMBERS = {1: (1, "B"), 3: (2, "H"), 4: (4, "I")}
_TIFF_SIZE, _TIFF_BITS, _TIFF_PACKING, _TIFF_CHANNELS = (256, 257), 258, 259, 277
_TIFF_TILES, _TIFF_COUNTS = (322, 323), 279
_TIFF_READ = {
    *_TIFF_SIZE,
    _TIFF_BITS,
    _TIFF_PACKING,
    _TIFF_CHANNELS,
    *_TIFF_TILES,
    _TIFF_COUNTS,
}


def _walk_tiff(data: memoryview, what: str) -> PackedHeader:
    """The first picture of a TIFF in strips, without packing or with LZW or deflate."""
    order = "<" if data[0] == 0x49 else ">"
    tags = _tiff_tags(data, order, what)
    if set(_TIFF_TILES) & set(tags) or not {*_TIFF_SIZE, _TIFF_COUNTS} <= set(tags):
        raise _broken(what, "of TIFF, only strips are read")
    width, height = (tags[side][0] for side in _TIFF_SIZE)
    check_area(what, width, height)
    channels, bits = tags.get(_TIFF_CHANNELS, (1,))[0], max(tags.get(_TIFF_BITS, (1,)))
    if tags.get(_TIFF_PACKING, (1,))[0] not in (1, 5, 8, 32946) or channels > 4 or bits > 32:
        raise _broken(what, "of TIFF, only LZW and deflate of up to 4 channels are read")
    packed, unpacked = sum(tags[_TIFF_COUNTS]), width * height * channels * bits // 8
    if packed > len(data) or unpacked > min(3 * _DEFLATE * packed, _HEAVIEST):
        raise _broken(what, f"{packed} bytes are no {width}x{height} pixels")
    return PackedHeader("tiff", width, height)


def _tiff_tags(data: memoryview, order: str, what: str) -> dict[int, tuple[int, ...]]:
    """The tags of the first directory that a picture's size follows from, each of them once.

    Their values lie within the bytes, and are numbers of a type that all readers take alike.
    """
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    if count > 100:
        raise _broken(what, f"its directory has {count} entries")
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "2HI", data, entry)
        if tag not in _TIFF_READ:
            continue
        if tag in tags or kind not in _TIFF_NUMBERS:
            raise _broken(what, f"an entry of its directory, {tag}, is there twice or no number")
        size, letter = _TIFF_NUMBERS[kind]
        where = entry + 8
        if size * values > 4:
            (where,) = struct.unpack_from(order + "I", data, where)
        if where + size * values > len(data) or values > 65536:
            raise _broken(what, "an entry of its directory reaches beyond its end")
        tags[tag] = struct.unpack_from(f"{order}{values}{letter}", data, where) or (0,)
    return tags


def packed_size(data: np.ndarray) -> tuple[int, int] | None:
    """(width, height) that a packed picture says it has; None where it says none, or is broken.

    Only its header is looked at: cheap enough for the thread that hears the messages.
    """
    view = np.ascontiguousarray(data).data
    if bytes(view[:8]) == PNG:
        return struct.unpack_from(">2I", view, 16) if len(view) >= 24 else None
    return jpeg_size(data)


def jpeg_size(data: np.ndarray) -> tuple[int, int] | None:
    """(width, height) from the frame header of a JPEG, uint8 (n,); None if it has none."""
    view = np.ascontiguousarray(data).data
    frame = jpeg_frame(view) if bytes(view[:2]) == b"\xff\xd8" else None
    if frame is None:
        return None
    height, width = struct.unpack_from(">2H", view, frame[1] + 3)
    return width, height
