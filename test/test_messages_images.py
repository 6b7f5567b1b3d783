"""Images packed by hand with struct, decoded."""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from any2seg_ros.messages import (
    BitDepth,
    confidence_fields,
    decode_compressed,
    decode_depth,
    decode_image,
    image_fields,
    image_size,
    mask_fields,
)
from any2seg_ros.messages.images import decode_labels
from any2seg_ros.types import InvalidMeasurement

ROWS = [[(10, 20, 30), (40, 50, 60), (70, 80, 90)], [(1, 2, 3), (4, 5, 6), (255, 0, 128)]]


def image(encoding, data, width=3, height=2, step=None, big=0):
    return SimpleNamespace(
        encoding=encoding,
        data=data,
        width=width,
        height=height,
        step=len(data) // height if step is None else step,
        is_bigendian=big,
    )


def packed(rows, order, form, pad=b""):
    lines = []
    for row in rows:
        line = b"".join(struct.pack(form, *(pixel[i] for i in order)) for pixel in row)
        lines.append(line + pad)
    return b"".join(lines)


@pytest.mark.parametrize("pad", [b"", b"\xee" * 5])
@pytest.mark.parametrize(
    "kind", [bytes, lambda b: array("B", b), memoryview, lambda b: np.frombuffer(b, np.uint8)]
)
@pytest.mark.parametrize(
    ("encoding", "order", "form"),
    [
        ("rgb8", (0, 1, 2), "3B"),
        ("bgr8", (2, 1, 0), "3B"),
        ("rgba8", (0, 1, 2, 0), "4B"),
        ("bgra8", (2, 1, 0, 0), "4B"),
    ],
)
def test_colours_come_as_red_green_blue_whatever_the_encoding(encoding, order, form, kind, pad):
    msg = image(encoding, kind(packed(ROWS, order, form, pad)))
    np.testing.assert_array_equal(decode_image(msg), np.array(ROWS, np.uint8))


def test_a_colour_image_is_a_view_of_its_message():
    data = array("B", packed(ROWS, (0, 1, 2), "3B"))
    pixels = decode_image(image("rgb8", data))
    data[0] = 99
    assert pixels[0, 0, 0] == 99


@pytest.mark.parametrize(("big", "order"), [(0, "<"), (1, ">")])
def test_grey_of_16_bits_keeps_its_upper_byte_in_either_byte_order(big, order):
    data = b"".join(struct.pack(order + "H", v) for v in (0x1234, 0xFF00, 0x00FF, 0, 0x8000, 7))
    pixels = decode_image(image("mono16", data, big=big))
    np.testing.assert_array_equal(pixels, [[0x12, 0xFF, 0], [0, 0x80, 0]])


@pytest.mark.parametrize(("big", "order"), [(0, "<"), (1, ">")])
def test_depth_of_16_bits_is_millimetres_in_either_byte_order(big, order):
    values = (0, 1, 1500, 65535, 256, 42)
    lines = [struct.pack(order + "3H", *values[i : i + 3]) + b"pad!" for i in (0, 3)]
    depth = decode_depth(image("16UC1", b"".join(lines), big=big))
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth, np.reshape(values, (2, 3)))


@pytest.mark.parametrize(("big", "order"), [(0, "<"), (1, ">")])
def test_depth_of_32_bits_is_metres_in_either_byte_order(big, order):
    values = (0.5, float("nan"), float("inf"), 12.25, 0.0, 3.0)
    data = b"".join(struct.pack(order + "f", v) for v in values)
    depth = decode_depth(image("32FC1", data, big=big))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, np.reshape(values, (2, 3)).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "banana"}, "unknown image encoding"),
        ({"encoding": "32FC1"}, r"wrong encoding for a picture: '32FC1'; read are .*rgb8"),
        ({"width": 0}, "absurd size"),
        ({"height": 100_000}, "absurd size"),
        ({"width": 16384, "height": 16384}, "absurd size"),
        ({"height": 3}, "truncated"),
        ({"data": b""}, "truncated"),
        ({"step": 4, "data": bytes(20)}, "too short"),
        ({"data": object()}, "not bytes"),
    ],
)
def test_an_image_that_does_not_fit_its_own_fields_is_unusable(change, reason):
    msg = image("rgb8", packed(ROWS, (0, 1, 2), "3B"))
    vars(msg).update(change)
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_image(msg)


@pytest.mark.parametrize("step", [0, 3, 18])
def test_a_step_that_is_wrong_does_not_count_where_lines_have_no_padding(step):
    msg = image("rgb8", packed(ROWS, (0, 1, 2), "3B"), step=step)
    np.testing.assert_array_equal(decode_image(msg), ROWS)


@pytest.mark.parametrize(
    ("encoding", "order", "form"),
    [
        ("rgb", (0, 1, 2), "3B"),
        ("RGB24", (0, 1, 2), "3B"),
        ("bgr", (2, 1, 0), "3B"),
        ("CV_8UC3", (2, 1, 0), "3B"),
        ("bgra", (2, 1, 0, 0), "4B"),
        ("16UC3", (2, 1, 0), "<3H"),
    ],
)
def test_encodings_have_other_spellings(encoding, order, form):
    scale = 257 if "H" in form else 1
    rows = [[tuple(scale * value for value in pixel) for pixel in row] for row in ROWS]
    np.testing.assert_array_equal(decode_image(image(encoding, packed(rows, order, form))), ROWS)


@pytest.mark.parametrize("encoding", ["gray", "mono", "Grey8", "Y800"])
def test_grey_has_other_spellings(encoding):
    np.testing.assert_array_equal(
        decode_image(image(encoding, bytes(range(6)))), [[0, 1, 2], [3, 4, 5]]
    )


def test_the_last_line_may_lack_its_padding():
    data = packed(ROWS, (0, 1, 2), "3B", b"pad")[:-3]
    pixels = decode_image(image("rgb8", data, step=12))
    np.testing.assert_array_equal(pixels, ROWS)


def test_a_colour_image_is_no_depth():
    with pytest.raises(InvalidMeasurement, match="wrong encoding for depth"):
        decode_depth(image("rgb8", packed(ROWS, (0, 1, 2), "3B")))


def test_a_bayer_image_becomes_a_picture_of_colours():
    pattern = np.zeros((8, 8), np.uint8)
    pattern[0::2, 0::2] = 200
    msg = image("bayer_rggb8", pattern.tobytes(), width=8, height=8)
    pixels = decode_image(msg)
    assert pixels.shape == (8, 8, 3)
    assert pixels[4, 4].argmax() == 0


SMOOTH = cv2.resize(
    np.array([[[250, 20, 20], [20, 250, 20]], [[20, 20, 250], [128, 128, 128]]], np.uint8),
    (160, 120),
)


def compressed(extension, pixels, name):
    data = cv2.imencode(extension, pixels)[1].tobytes()
    return SimpleNamespace(format=name, data=array("B", data))


def test_a_png_comes_back_as_it_was():
    msg = compressed(".png", SMOOTH[..., ::-1], "rgb8; png compressed bgr8")
    np.testing.assert_array_equal(decode_image(msg), SMOOTH)


def test_a_jpeg_has_its_colours_in_the_right_order():
    msg = compressed(".jpg", SMOOTH[..., ::-1], "jpeg")
    assert np.abs(decode_image(msg).astype(int) - SMOOTH).mean() < 4


def test_a_grey_jpeg_has_one_channel():
    msg = compressed(".jpg", SMOOTH[..., 0], "mono8; jpeg compressed mono8")
    assert decode_image(msg).shape == (120, 160)


def test_a_jpeg_may_be_unpacked_smaller_but_not_below_the_minimum():
    msg = compressed(".jpg", SMOOTH[..., ::-1], "jpeg")
    assert decode_compressed(msg, (80, 60)).shape == (60, 80, 3)
    assert decode_compressed(msg, (81, 60)).shape == (120, 160, 3)
    assert decode_compressed(msg, (30, 30)).shape == (30, 40, 3)
    half = cv2.resize(SMOOTH, (80, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(decode_compressed(msg, (80, 60)).astype(int) - half).mean() < 4


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 no image", b"\x89PNG"])
def test_bytes_that_are_no_picture_are_unusable(data):
    msg = SimpleNamespace(format="jpeg", data=data)
    with pytest.raises(InvalidMeasurement, match="compressed image"):
        decode_image(msg)
    with pytest.raises(InvalidMeasurement, match="compressed image"):
        decode_compressed(msg, (4, 4))


def test_a_truncated_png_is_unusable():
    msg = compressed(".png", SMOOTH, "png")
    msg.data = msg.data[:20]
    with pytest.raises(InvalidMeasurement, match="unpacked"):
        decode_image(msg)


def test_compressed_depth_of_16_bits_lies_behind_a_header():
    depth = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    png = cv2.imencode(".png", depth)[1].tobytes()
    header = struct.pack("<iff", 0, 0.0, 0.0)
    msg = SimpleNamespace(format="16UC1; compressedDepth png", data=array("B", header + png))
    np.testing.assert_array_equal(decode_depth(msg), depth)


@pytest.mark.parametrize("name", ["16UC1; compressedDepth png", "16UC1", "png"])
@pytest.mark.parametrize("header", [b"", bytes(12)])
def test_the_header_of_compressed_depth_is_found_whatever_the_format_says(name, header):
    depth = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    msg = SimpleNamespace(format=name, data=header + cv2.imencode(".png", depth)[1].tobytes())
    assert image_size(msg) == (30, 20)
    np.testing.assert_array_equal(decode_depth(msg), depth)


def test_compressed_depth_of_32_bits_is_quantised_inverse_depth():
    # compressed_depth_image_transport: depth = a / (v - b) with a = q (q + 1), b = 1 - a / d
    quantum, furthest = 100.0, 10.0
    a = quantum * (quantum + 1.0)
    b = 1.0 - a / furthest
    depth = np.array([[0.5, 1.0, 2.5], [9.0, 0.7, np.nan]], np.float32)
    values = np.nan_to_num(np.round(a / depth + b)).astype(np.uint16)
    png = cv2.imencode(".png", values)[1].tobytes()
    data = struct.pack("<iff", 0, a, b) + png
    decoded = decode_depth(SimpleNamespace(format="32FC1; compressedDepth", data=data))
    np.testing.assert_allclose(decoded, depth, rtol=5e-3)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("16UC1; compressedDepth png", b"short", "empty"),
        ("16UC1; compressedDepth rvl", b"x" * 12 + struct.pack("<2i", 4, 4) + b"x" * 9, "RVL"),
        ("16UC1; compressedDepth png", b"x" * 40, "unpacked"),
        (
            "16UC1; compressedDepth png",
            b"x" * 12 + cv2.imencode(".png", SMOOTH)[1].tobytes(),
            "16 bit",
        ),
    ],
)
def test_compressed_depth_that_holds_no_depth_is_unusable(name, data, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_depth(SimpleNamespace(format=name, data=data))


def test_a_mask_has_no_padding_and_comes_back_as_it_was():
    labels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    fields = mask_fields(labels)
    assert fields["step"] == fields["width"] == 7
    assert fields["encoding"] == "mono8"
    assert isinstance(fields["data"], array)
    np.testing.assert_array_equal(decode_image(SimpleNamespace(**fields)), labels)


def test_confidence_is_spread_over_the_bytes_or_kept_as_it_is():
    confidence = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert list(confidence_fields(confidence)["data"]) == [0, 128, 255]
    fields = confidence_fields(confidence, "32FC1")
    np.testing.assert_array_equal(decode_depth(SimpleNamespace(**fields)), confidence)


def test_outgoing_pixels_must_be_of_their_encoding():
    with pytest.raises(ValueError, match="rgb8"):
        image_fields(np.zeros((4, 4), np.uint8), "rgb8")
    with pytest.raises(ValueError, match="yuv"):
        image_fields(np.zeros((4, 4), np.uint8), "yuv")


def test_fields_fill_a_message_of_rclpy():
    msgs = pytest.importorskip("sensor_msgs.msg")
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3), np.uint8)
    msg = msgs.Image(**image_fields(pixels, "rgb8"))
    np.testing.assert_array_equal(decode_image(msg), pixels)


IDS = np.array([[0, 7, 24], [255, 1, 200]], np.uint8)
WIDE = np.where(IDS == 255, np.uint16(65535), IDS)
GREY = np.stack([IDS] * 3, -1)
SEEN_THROUGH = np.dstack([GREY, np.arange(6, dtype=np.uint8).reshape(2, 3)])


def as_png(pixels):
    return SimpleNamespace(format="png", data=cv2.imencode(".png", pixels)[1].tobytes())


@pytest.mark.parametrize(
    "msg",
    [
        image("mono8", IDS.tobytes()),
        image("16UC1", WIDE.astype("<u2").tobytes()),
        image("mono16", WIDE.astype(">u2").tobytes(), big=1),
        image("mono16", IDS.astype("<u2").tobytes()),
        image("bgr8", GREY.tobytes()),
        image("rgba8", SEEN_THROUGH.tobytes()),
        *map(as_png, (IDS, WIDE, GREY, SEEN_THROUGH, np.stack([WIDE] * 3, -1))),
    ],
)
def test_labels_are_class_ids_whatever_holds_them(msg):
    found = decode_labels(msg)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, IDS)


@pytest.mark.parametrize(
    ("msg", "reason"),
    [
        (image("32FC1", IDS.astype("<f4").tobytes()), "labels are float32"),
        (image("rgb8", packed(ROWS, (0, 1, 2), "3B")), "labels are colours"),
        (as_png(np.array(ROWS, np.uint8)), "labels are colours"),
        (image("mono16", (IDS.astype("<u2") << 8).tobytes()), "labels of 16 bits exceed 255"),
        (as_png(np.full((2, 3), 65534, np.uint16)), "labels of 16 bits exceed 255"),
        (
            SimpleNamespace(format="mono8; jpeg", data=cv2.imencode(".jpg", IDS)[1].tobytes()),
            "packed as JPEG",
        ),
        (SimpleNamespace(format="png", data=b""), "compressed image is empty"),
        (SimpleNamespace(format="png", data=b"no picture"), "cannot be unpacked"),
    ],
)
def test_what_holds_no_class_ids_is_unusable_as_labels(msg, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_labels(msg)


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_rggb16", "yuv422"])
def test_an_empty_image_is_refused_before_anything_reads_it(encoding):
    msg = image(encoding, b"", width=1920, height=1200, step=3840)
    with pytest.raises(InvalidMeasurement, match="image data are truncated: 0 of"):
        decode_image(msg)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 2, "height": 1 << 28}, "absurd size"),
        ({"width": 2, "height": 1 << 12}, "lines are too short"),
        ({"width": 2, "height": 1 << 12, "step": 2}, "truncated: 8 of"),
    ],
)
@pytest.mark.parametrize("encoding", ["16UC4", "bayer_rggb8", "nv21"])
def test_cv_bridge_sees_no_image_that_does_not_fit_its_own_fields(
    monkeypatch, encoding, change, reason
):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    msg = image(encoding, bytes(8), step=0)
    vars(msg).update(change)
    with pytest.raises(InvalidMeasurement, match=reason):
        decode_image(msg)


def resized_jpeg(width, height, *parts):
    """A JPEG whose frame header says another size; `parts` stand before its first segment."""
    packed = cv2.imencode(".jpg", SMOOTH)[1].tobytes()
    at = packed.index(b"\xff\xc0")
    size = struct.pack(">2H", height, width)
    return b"".join([packed[:2], *parts, packed[2 : at + 5], size, packed[at + 9 :]])


def resized_png(width, height, pixels):
    packed = cv2.imencode(".png", pixels)[1].tobytes()
    header = b"IHDR" + struct.pack(">2I", width, height) + packed[24:29]
    return packed[:12] + header + struct.pack(">I", zlib.crc32(header)) + packed[33:]


@pytest.mark.parametrize(
    "data",
    [
        resized_jpeg(32000, 32000),
        resized_jpeg(9000, 9000),
        resized_jpeg(32000, 32000, b"garbage \xff\x00 \xff\xff\xff\x01 and \xff"),
        resized_png(16000, 16000, SMOOTH),
        resized_png(1 << 30, 2, SMOOTH),
    ],
)
def test_a_packed_image_of_absurd_size_is_refused_before_it_is_unpacked(monkeypatch, data):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(InvalidMeasurement, match="absurd size"):
        decode_image(SimpleNamespace(format="jpeg", data=data))


def test_packed_depth_of_absurd_size_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("unpacked"))
    data = bytes(12) + resized_png(16000, 16000, np.zeros((4, 4), np.uint16))
    with pytest.raises(InvalidMeasurement, match="absurd size: 16000x16000"):
        decode_depth(SimpleNamespace(format="16UC1; compressedDepth png", data=data))


def test_the_size_of_an_image_is_what_its_header_says():
    jpeg = cv2.imencode(".jpg", SMOOTH, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    png = cv2.imencode(".png", SMOOTH)[1].tobytes()
    for name, data in [
        ("jpeg", jpeg),
        ("png", png),
        ("16UC1; compressedDepth png", b"h" * 12 + png),
    ]:
        assert image_size(SimpleNamespace(format=name, data=array("B", data))) == (160, 120)
    assert image_size(image("rgb8", b"", width=7, height=5)) == (7, 5)
    assert image_size(SimpleNamespace(format="webp", data=b"RIFF")) is None


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [("TYPE_16UC1", "<u2"), ("z16", "<u2"), ("16SC1", "<i2"), ("64FC1", "<f8")],
)
def test_depth_has_other_names_and_types_too(encoding, kind):
    depth = np.array([[0, 1200, 800], [7, 30000, 5]])
    found = decode_depth(image(encoding, depth.astype(kind).tobytes()))
    assert found.dtype in (np.uint16, np.float32)
    np.testing.assert_array_equal(found, depth)


def test_signed_depth_below_zero_is_a_hole():
    depth = np.array([[-5, 1200, 0], [7, -32768, 5]], "<i2")
    np.testing.assert_array_equal(decode_depth(image("16SC1", depth.tobytes())), depth.clip(0))


def test_depth_of_32_bits_may_be_packed_as_tiff():
    depth = np.linspace(0.5, 40, 600, dtype=np.float32).reshape(20, 30)
    data = cv2.imencode(".tiff", depth)[1].tobytes()
    found = decode_depth(SimpleNamespace(format="32FC1; tiff compressed ", data=data))
    np.testing.assert_array_equal(found, depth)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_depth_packed_as_jpeg_is_refused_with_what_to_use(shape):
    data = cv2.imencode(".jpg", np.full(shape, 90, np.uint8))[1].tobytes()
    with pytest.raises(InvalidMeasurement, match="packed as JPEG.*use its compressedDepth topic"):
        decode_depth(SimpleNamespace(format="16UC1; jpeg compressed ", data=data))


@pytest.mark.parametrize("ab", [(0.0, 0.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_quantised_depth_without_its_scale_is_refused(ab):
    png = cv2.imencode(".png", np.full((4, 4), 9, np.uint16))[1].tobytes()
    data = struct.pack("<iff", 0, *ab) + png
    with pytest.raises(InvalidMeasurement, match="no quantisation"):
        decode_depth(SimpleNamespace(format="32FC1; compressedDepth png", data=data))


THERMAL = np.linspace(1900, 2400, 600).astype(np.uint16).reshape(20, 30)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_grey_of_fewer_than_16_bits_keeps_the_bits_that_are_filled(bits):
    full = np.linspace(0, (1 << bits) - 1, 600).astype("<u2").reshape(20, 30)
    found = decode_image(image("mono16", full.tobytes(), width=30, height=20))
    np.testing.assert_array_equal(found, full >> (bits - 8))


def test_grey_of_12_bits_is_seen_whether_raw_or_packed():
    raw = decode_image(image("mono16", THERMAL.astype("<u2").tobytes(), width=30, height=20))
    png = cv2.imencode(".png", THERMAL)[1].tobytes()
    packed_ = decode_image(SimpleNamespace(format="mono16; png compressed ", data=png))
    np.testing.assert_array_equal(raw, THERMAL >> 4)
    np.testing.assert_array_equal(packed_, raw)


@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_fewer_than_16_bits_keep_the_bits_that_are_filled(bits):
    colours = np.random.default_rng(0).integers(0, 1 << bits, (20, 30, 3)).astype("<u2")
    colours[0, 0] = (1 << bits) - 1
    for encoding, order in (("rgb16", 1), ("bgr16", -1)):
        data = colours[..., ::order].tobytes()
        found = decode_image(image(encoding, data, width=30, height=20))
        np.testing.assert_array_equal(found, colours >> (bits - 8))
    png = cv2.imencode(".png", colours[..., ::-1])[1].tobytes()
    found = decode_image(SimpleNamespace(format="rgb16; png compressed bgr16", data=png))
    np.testing.assert_allclose(found, colours >> (bits - 8), atol=1)


def test_a_dark_image_after_bright_ones_is_as_dark_as_it_is():
    depth = BitDepth()
    bright = image("mono16", (THERMAL * 20).astype("<u2").tobytes(), width=30, height=20)
    dark = image("mono16", np.full((20, 30), 900, "<u2").tobytes(), width=30, height=20)
    for _ in range(3):  # the first is read as rightly as the last
        assert decode_image(bright, depth).max() == THERMAL.max() * 20 >> 8
    assert decode_image(dark, depth).max() == 900 >> 8


@pytest.mark.parametrize("broken", [0, 1, 20, 300])
def test_a_broken_image_changes_no_other_s_brightness(broken):
    dim, spoilt = (np.full((100, 200), 430, np.uint16) for _ in range(2))
    spoilt[:, : broken or 1] = 40_000
    depth, seen = BitDepth(), []
    for k in range(30):
        seen.append(depth.upper_byte(spoilt if k in (broken % 7, 22) else dim))
    assert depth.bits == 10
    assert all((one == 430 >> 2).all() for k, one in enumerate(seen) if k not in (broken % 7, 22))


def test_hot_pixels_are_white_and_nothing_else():
    hot = np.full((100, 200), 3000, np.uint16)
    hot[0, :2] = 40_000, 65_535
    depth = BitDepth()
    for _ in range(20):
        seen = depth.upper_byte(hot)
    assert depth.bits == 12 and (seen[0, :2] == 255).all() and (seen[1:] == 3000 >> 4).all()


def test_an_unknown_encoding_is_named_together_with_what_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(InvalidMeasurement, match=r"'yuv9000': read are .*bgr8.*rgb8.*nv12.*bayer"):
        decode_image(image("yuv9000", bytes(18)))


@pytest.mark.parametrize("name", ["h264", "h265; something", "av1"])
def test_video_in_a_compressed_image_is_called_so(name):
    with pytest.raises(
        InvalidMeasurement, match="is video: have it published as H.264 or H.265, in fox"
    ):
        decode_image(SimpleNamespace(format=name, data=b"\0\0\0\1\x67" + bytes(90)))
