"""Packed pictures that lie about themselves, made by hand: none of them reaches OpenCV."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from any2seg_ros.messages import decode_depth, decode_image
from any2seg_ros.messages.images import unpack_labels
from any2seg_ros.messages.packed import check_packed, packed_size
from any2seg_ros.types import InvalidMeasurement

SCENE = cv2.resize(
    np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8), (160, 120)
)  # (120, 160, 3)


def compressed(data, name="jpeg"):
    return SimpleNamespace(format=name, data=data)


def encoded(extension, pixels=SCENE, *options):
    return cv2.imencode(extension, pixels, list(options))[1].tobytes()


def chunk(kind, content, length=None):
    size = len(content) if length is None else length
    return struct.pack(">I", size) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks, bits=8, colour=0):
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, colour, 0, 0, 0))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *chunks])


IDAT, IEND = chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b"")


def tiff(
    width, height, *, counts=(100,), packing=5, bits=8, entries=None, where=8, kind=4, more=()
):
    rows = [
        *more,
        (256, kind, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, packing),
        (277, 3, 1),
    ]
    rows.append((279, 4, counts[0]))
    body = b"".join(struct.pack("<2HII", tag, kind, 1, value) for tag, kind, value in rows)
    count = len(rows) if entries is None else entries
    return b"II*\0" + struct.pack("<IH", where, count) + body + bytes(200)


def webp_lossless(width, height, length=40):
    bits = struct.pack("<I", (width - 1) | (height - 1) << 14)
    body = b"VP8L" + struct.pack("<I", length) + b"\x2f" + bits + bytes(length - 5)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bmp(width, height, bits=24, packing=0, pixels=60):
    header = struct.pack("<I2i2HI5I", 40, width, height, 1, bits, packing, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + pixels, 0, 0, 54) + header + bytes(pixels)


def many_scans(scans):
    data = encoded(".jpg", SCENE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at = data.rindex(b"\xff\xda")
    return data[:-2] + data[at:-2] * scans + b"\xff\xd9"


BOMBS = {
    "a chunk length of 4 GB": (png(640, 480, chunk(b"IDAT", b"", 0xF0000000)), "beyond its end"),
    "an ancillary chunk of 1 GB": (png(64, 48, chunk(b"iCCP", b"", 1 << 30)), "beyond its end"),
    "a hundred bytes of 49 megapixels": (png(7000, 7000, IDAT, IEND), "are no 7000x7000"),
    "48 megapixels of four times 16 bits": (
        png(8000, 6000, chunk(b"IDAT", bytes(400_000)), IEND, bits=16, colour=6),
        "are no 8000x6000",
    ),
    "a PNG of many chunks": (png(64, 48, *[chunk(b"tEXt", b"")] * 20_000), "more than 10000"),
    "a PNG of texts that become gigabytes": (
        png(64, 48, *[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(8_000_000)))] * 9, IDAT, IEND),
        "more than 32 MB",
    ),
    "an animated PNG": (png(64, 48, chunk(b"acTL", bytes(8)), IDAT, IEND), "animated"),
    "a cut PNG": (encoded(".png")[:-40], "cannot be unpacked"),
    "a megabyte of empty segments": (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 262_144, "1000 segments"),
    "a JPEG of 200 scans": (many_scans(200), "scans are too many"),
    "a JPEG of few bytes": (
        encoded(".jpg").replace(
            struct.pack(">BHBHH", 0xC0, 17, 8, 120, 160),
            struct.pack(">BHBHH", 0xC0, 17, 8, 7000, 7000),
        ),
        "are no 7000x7000",
    ),
    "BMP of a hundred bytes": (bmp(7000, 7000), "cut off"),
    "BMP of run lengths": (bmp(7000, 7000, 8, 1), "without packing"),
    "BMP of absurd size": (bmp(1 << 20, 1 << 20), "absurd size"),
    "BMP upside down": (bmp(7000, -7000), "cut off"),
    "GIF": (b"GIF89a" + struct.pack("<2H", 60_000, 60_000) + bytes(100), "none of JPEG, PNG"),
    "OpenEXR": (b"\x76\x2f\x31\x01" + bytes(200), "none of JPEG, PNG"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200), "none of JPEG, PNG"),
    "portable graymap": (b"P5\n60000 60000\n255\n" + bytes(60), "none of JPEG, PNG"),
    "TIFF of absurd size": (tiff(60_000, 60_000), "absurd size"),
    "TIFF of few bytes": (tiff(7000, 7000), "are no 7000x7000"),
    "TIFF whose strip is larger than it": (tiff(64, 48, counts=(1 << 31,)), "are no 64x48"),
    "TIFF of many entries": (tiff(64, 48, entries=60_000), "60000 entries"),
    "TIFF whose directory lies behind it": (tiff(64, 48, where=1 << 30), "cut off"),
    "TIFF with two widths": (tiff(64, 48, more=((256, 4, 7000),)), "there twice"),
    "TIFF whose width is a signed number": (tiff(64, 48, kind=9), "no number"),
    "TIFF with a JPEG in it": (tiff(64, 48, packing=7), "only LZW and deflate"),
    "WebP of absurd size": (webp_lossless(16_383, 16_383), "absurd size"),
    "WebP of few bytes": (webp_lossless(7000, 7000), "are no 7000x7000"),
    "WebP that is cut off": (encoded(".webp")[:60], "cut off"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_picture_that_would_cost_too_much_never_reaches_opencv(monkeypatch, bomb):
    data, reason = BOMBS[bomb]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("unpacked"))
    for message in (
        compressed(data),
        compressed(data, "mono8; png"),
        compressed(data, "bayer_rggb8"),
    ):
        with pytest.raises(InvalidMeasurement, match=reason):
            decode_image(message)
    with pytest.raises(InvalidMeasurement):
        decode_depth(compressed(bytes(12) + data, "16UC1; compressedDepth png"))
    with pytest.raises(InvalidMeasurement):
        unpack_labels(data)


@pytest.mark.parametrize(
    "data",
    [
        encoded(".jpg"),
        encoded(".jpg", SCENE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encoded(".jpg", SCENE, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        encoded(".jpg", np.zeros((720, 1280, 3), np.uint8)),
        encoded(".png"),
        png(8, 8, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(3000))), IDAT, IEND),
        encoded(".png", np.zeros((720, 1280), np.uint16)),
        encoded(".png", SCENE, cv2.IMWRITE_PNG_COMPRESSION, 0),
        encoded(".bmp"),
        encoded(".bmp", SCENE[..., 0]),
        encoded(".webp"),
        encoded(".webp", SCENE, cv2.IMWRITE_WEBP_QUALITY, 101),
        encoded(".webp", np.dstack([SCENE, SCENE[..., :1]]), cv2.IMWRITE_WEBP_QUALITY, 101),
        encoded(".tiff"),
        encoded(".tiff", SCENE.astype(np.float32)),
        encoded(".tiff", SCENE[..., 0].astype(np.uint16)),
    ],
)
def test_pictures_that_cameras_send_are_unpacked(data):
    header = check_packed(np.frombuffer(data, np.uint8))
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (header.height, header.width) == pixels.shape[:2]


def test_opencv_has_a_limit_of_its_own():
    large = encoded(".png", np.zeros((8000, 8000), np.uint8))
    code = (
        "import sys; import any2seg_ros; import cv2, numpy as np\n"
        "try: print(cv2.imdecode(np.frombuffer(sys.stdin.buffer.read(), np.uint8), 0).shape)\n"
        "except cv2.error: print('refused')"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", code], input=large, env=environment, capture_output=True, timeout=120
    )
    assert done.stdout.decode().strip() == "refused", done.stderr.decode()


WHOLE = [encoded(e) for e in (".jpg", ".png", ".webp", ".bmp", ".tiff")]


@given(
    st.sampled_from(WHOLE),
    st.integers(0, 200),
    st.binary(min_size=1, max_size=8),
    st.integers(0, 400),
)
def test_no_change_of_a_header_gets_another_error_than_the_documented_one(data, at, change, cut):
    changed = bytearray(data)
    changed[at : at + len(change)] = change
    packed = np.frombuffer(bytes(changed[: len(changed) - cut]), np.uint8)
    try:
        packed_size(packed)
        header = check_packed(packed)
    except InvalidMeasurement:
        return
    assert 0 < header.width * header.height <= 50_000_000
