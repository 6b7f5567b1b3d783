"""RVL, packed here as its paper describes it."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from any2seg_ros.messages import decode_depth, image_size
from any2seg_ros.types import InvalidMeasurement


def pack(depth):
    nibbles = []

    def number(value):
        while True:
            low, value = value & 7, value >> 3
            nibbles.append(low | (8 if value else 0))
            if not value:
                return

    flat, at, previous = depth.ravel().tolist(), 0, 0
    while at < len(flat):
        begin = at
        while at < len(flat) and not flat[at]:
            at += 1
        number(at - begin)
        begin = at
        while at < len(flat) and flat[at]:
            at += 1
        number(at - begin)
        for value in flat[begin:at]:
            step = value - previous
            number(2 * step if step >= 0 else -2 * step - 1)
            previous = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        sum(nibble << (28 - 4 * i) for i, nibble in enumerate(nibbles[k : k + 8]))
        for k in range(0, len(nibbles), 8)
    ]
    height, width = depth.shape
    return struct.pack("<2i", width, height) + struct.pack(f"<{len(words)}I", *words)


def message(data, a=0.0, b=0.0, form="16UC1; compressedDepth rvl"):
    return SimpleNamespace(format=form, data=struct.pack("<iff", 0, a, b) + data)


def scene(seed):
    rng = np.random.default_rng(seed)
    depth = rng.integers(400, 9000, (24, 32)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.3] = 0
    return depth


@pytest.mark.parametrize(
    "depth",
    [
        scene(0),
        np.zeros((5, 7), np.uint16),
        np.full((5, 7), 65535, np.uint16),
        np.tile(np.array([65535, 1, 0, 300], np.uint16), (9, 3)),
        np.array([[1]], np.uint16),
    ],
)
def test_depth_comes_back_as_it_was(depth):
    msg = message(pack(depth))
    np.testing.assert_array_equal(decode_depth(msg), depth)
    assert image_size(msg) == depth.shape[::-1]


def test_metres_are_quantised_as_in_the_png():
    a, b = 10100.0, 1.0 - 1010.0
    values = np.array([[0, 700], [2000, 9000]], np.uint16)
    found = decode_depth(message(pack(values), a, b, "32FC1; compressedDepth rvl"))
    np.testing.assert_allclose(found, [[np.nan, a / (700 - b)], [a / (2000 - b), a / (9000 - b)]])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pack(scene(1))[:-40], "truncated, or it is no RVL"),
        (struct.pack("<2i", 1 << 20, 1 << 20) + bytes(60), "absurd size"),
        (struct.pack("<2i", -4, 4) + bytes(60), "absurd size"),
        (struct.pack("<2i", 4, 4) + b"\xff" * 64, "truncated, or it is no RVL"),
        (struct.pack("<2i", 4, 4), "truncated, or it is no RVL"),
        (struct.pack("<2i", 7000, 7000) + bytes(60), "are no 7000x7000 pixels"),
        (b"", "empty"),
        (b"\1\0\0\0", "empty"),
    ],
)
def test_broken_data_are_unusable(data, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_depth(message(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_depth_or_refused(content):
    try:
        depth = decode_depth(message(struct.pack("<2i", 16, 8) + content))
    except InvalidMeasurement:
        return
    assert depth.shape == (8, 16) and depth.dtype == np.uint16
