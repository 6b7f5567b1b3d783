"""Images as zstd_image_transport writes them, made with struct and zlib."""

from __future__ import annotations

import gzip
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.messages import decode_depth, decode_image, image_size
from any2seg_ros.types import InvalidMeasurement

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)


def zipped(pixels, encoding, pack=zlib.compress, **changes):
    fields = {"height": 20, "width": 30, "big": 0, "step": pixels.nbytes // 20, **changes}
    header = struct.pack("<2IB2I", *fields.values(), len(encoding)) + encoding.encode()
    return SimpleNamespace(format="zstd", data=header + pack(pixels.tobytes()))


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_a_picture_comes_back_as_it_was(pack):
    msg = zipped(PIXELS, "rgb8", pack)
    assert image_size(msg) == (30, 20)
    np.testing.assert_array_equal(decode_image(msg), PIXELS)


def test_depth_comes_back_as_it_was():
    depth = PIXELS[..., 0].astype(np.uint16) * 100
    np.testing.assert_array_equal(decode_depth(zipped(depth, "16UC1")), depth)
    swapped = zipped(depth.astype(">u2"), "16UC1", big=1)
    np.testing.assert_array_equal(decode_depth(swapped), depth)


@pytest.mark.parametrize(
    ("msg", "reason"),
    [
        (SimpleNamespace(format="zstd", data=b"short"), "header is cut off"),
        (zipped(PIXELS, "rgb8", height=0), "absurd size"),
        (zipped(PIXELS, "rgb8", width=1 << 20), "absurd size"),
        (zipped(PIXELS, "rgb8", step=1 << 24), "header is broken"),
        (zipped(PIXELS, "rgb8" * 20), "header is broken"),
        (zipped(PIXELS, "rgb8", lambda data: data), "cannot be unpacked"),
        (zipped(PIXELS, "rgb8", lambda data: zlib.compress(data)[:-300]), "truncated"),
        (zipped(PIXELS, "banana"), "unknown image encoding"),
    ],
)
def test_what_is_broken_is_refused_with_the_reason(msg, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_image(msg)


def test_no_more_is_unpacked_than_the_header_says():
    bomb = zipped(PIXELS, "rgb8", lambda data: zlib.compress(data + bytes(100_000_000)))
    np.testing.assert_array_equal(decode_image(bomb), PIXELS)
