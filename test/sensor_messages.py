"""Messages of four sensors as any reader of messages makes them, for tests without ROS."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np

MS = 1_000_000
STAMP = 5_000_000_000_000


def header(stamp: int) -> SimpleNamespace:
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return SimpleNamespace(
        stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds), frame_id="somewhere"
    )


def rgb(stamp: int = STAMP, encoding: str = "rgb8") -> SimpleNamespace:
    coarse = np.random.default_rng(stamp).integers(0, 255, (12, 16, 3), np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)
    return SimpleNamespace(
        header=header(stamp),
        height=96,
        width=128,
        encoding=encoding,
        is_bigendian=0,
        step=384,
        data=array("B", pixels.tobytes()),
    )


def depth(stamp: int = STAMP, fill: int | None = None) -> SimpleNamespace:
    coarse = np.random.default_rng(stamp).integers(2000, 40000, (12, 16), np.uint16)
    pixels = coarse.repeat(8, 0).repeat(8, 1)
    pixels = pixels if fill is None else np.full_like(pixels, fill)
    return SimpleNamespace(
        header=header(stamp),
        height=96,
        width=128,
        encoding="16UC1",
        is_bigendian=0,
        step=256,
        data=array("B", pixels.tobytes()),
    )


def cloud(stamp: int = STAMP, count: int = 500) -> SimpleNamespace:
    points = np.random.default_rng(stamp).uniform(-4, 4, (count, 4)).astype("<f4")
    points[:, 0] += 12
    fields = [
        SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return SimpleNamespace(
        header=header(stamp),
        height=1,
        width=count,
        fields=fields,
        is_bigendian=False,
        point_step=16,
        row_step=16 * count,
        data=array("B", points.tobytes()),
    )


def packet(stamp: int = STAMP, count: int = 20, encoding: str = "mono") -> SimpleNamespace:
    """`count` events in the last ms before the stamp, as 64-bit words."""
    step = MS // max(count, 1)
    words = [
        (k % 2) << 63 | (k % 96) << 48 | (k % 128) << 32 | (k + 1) * step for k in range(count)
    ]
    return SimpleNamespace(
        header=header(stamp),
        width=128,
        height=96,
        encoding=encoding,
        time_base=stamp - MS,
        seq=0,
        is_bigendian=False,
        events=array("B", b"".join(struct.pack("<Q", word) for word in words)),
    )
