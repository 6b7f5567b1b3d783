"""YUV in every layout and Bayer in every order, packed here from one scene."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from any2seg_ros.messages import decode_image, image_size
from any2seg_ros.types import InvalidMeasurement

SCENE = cv2.resize(
    np.array([[[220, 40, 40], [40, 200, 60]], [[50, 60, 210], [160, 160, 20]]], np.uint8),
    (64, 48),
    interpolation=cv2.INTER_LINEAR,
)
"""R, G, B; smooth, so that little is lost where colours have fewer pixels."""
_flat = cv2.cvtColor(SCENE, cv2.COLOR_RGB2YUV_I420).ravel()
Y = _flat[: 64 * 48].reshape(48, 64)
U = _flat[64 * 48 : 64 * 60].reshape(24, 32)
V = _flat[64 * 60 :].reshape(24, 32)
TALL_U, TALL_V = (np.repeat(plane, 2, 0) for plane in (U, V))
FULL_U, FULL_V = (np.repeat(plane, 2, 1) for plane in (TALL_U, TALL_V))


def between(*planes):
    return np.stack(planes, -1).reshape(planes[0].shape[0], -1)


def pairs(order):
    parts = {"y": iter((Y[:, 0::2], Y[:, 1::2])), "u": iter((TALL_U,)), "v": iter((TALL_V,))}
    return [between(*(next(parts[letter]) for letter in order))]


LAYOUTS = {
    "nv12": [Y, between(U, V)],
    "nv21": [Y, between(V, U)],
    "i420": [Y, U, V],
    "yuv420p": [Y, U, V],
    "yv12": [Y, V, U],
    "nv16": [Y, between(TALL_U, TALL_V)],
    "nv61": [Y, between(TALL_V, TALL_U)],
    "yuv422p": [Y, TALL_U, TALL_V],
    "nv24": [Y, between(FULL_U, FULL_V)],
    "NV42": [Y, between(FULL_V, FULL_U)],
    "yuv422": pairs("uyvy"),
    "UYVY": pairs("uyvy"),
    "yuv422_uyvy": pairs("uyvy"),
    "yuv422_yuy2": pairs("yuyv"),
    "yuyv": pairs("yuyv"),
    "yvyu": pairs("yvyu"),
}


def image(encoding, parts, pad=0, **fields):
    rows = [np.pad(part, ((0, 0), (0, pad * part.shape[1] // parts[0].shape[1]))) for part in parts]
    data = b"".join(row.tobytes() for row in rows)
    plain = {"encoding": encoding, "width": 64, "height": 48, "step": rows[0].shape[1]}
    return SimpleNamespace(**{**plain, **fields}, is_bigendian=0, data=data)


def error(msg):
    pixels = decode_image(msg)
    assert pixels.shape == SCENE.shape and pixels.dtype == np.uint8
    return np.abs(pixels.astype(int) - SCENE).mean()


@pytest.mark.parametrize("pad", [0, 32])
@pytest.mark.parametrize("encoding", LAYOUTS)
def test_yuv_has_the_colours_of_the_scene(encoding, pad):
    msg = image(encoding, LAYOUTS[encoding], pad)
    assert error(msg) < 3
    assert image_size(msg) == (64, 48)


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "i420"])
def test_rows_of_the_colours_may_be_counted_in_the_height(encoding):
    msg = image(encoding, LAYOUTS[encoding], height=72)
    assert error(msg) < 3
    assert image_size(msg) == (64, 48)


@pytest.mark.parametrize("step", [0, 96, 128])
@pytest.mark.parametrize("encoding", ["nv12", "i420", "nv24", "yuyv"])
def test_a_step_that_cannot_be_is_not_believed(encoding, step):
    assert error(image(encoding, LAYOUTS[encoding], step=step)) < 3


@pytest.mark.parametrize("encoding", LAYOUTS)
def test_yuv_that_is_cut_off_is_unusable(encoding):
    msg = image(encoding, LAYOUTS[encoding])
    msg.data = msg.data[:-8]
    with pytest.raises(InvalidMeasurement, match="truncated|too short"):
        decode_image(msg)


@pytest.mark.parametrize("encoding", ["nv12", "i420", "yuyv", "nv24"])
def test_sides_that_are_no_whole_number_of_colours_are_unusable(encoding):
    msg = image(encoding, LAYOUTS[encoding], width=63)
    with pytest.raises(InvalidMeasurement, match="63 pixels is no whole number"):
        decode_image(msg)


ORDERS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}


def mosaic(order):
    found = np.empty(SCENE.shape[:2], np.uint8)
    for place, letter in enumerate(ORDERS[order]):
        channel = "RGB".index(letter)
        found[place // 2 :: 2, place % 2 :: 2] = SCENE[place // 2 :: 2, place % 2 :: 2, channel]
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_a_raw_mosaic_has_the_colours_of_the_scene(order):
    assert error(image(f"bayer_{order}8", [mosaic(order)])) < 3


@pytest.mark.parametrize("order", ORDERS)
def test_a_mosaic_may_have_its_name_of_genicam(order):
    assert error(image(f"Bayer{order[:2].upper()}8", [mosaic(order)])) < 3
    assert error(image(f"bayer_{order[:2]}8", [mosaic(order)])) < 3


def test_a_mosaic_of_12_bits_packed_in_one_and_a_half_bytes_is_refused():
    with pytest.raises(InvalidMeasurement, match="unknown image encoding 'BayerRG12p'"):
        decode_image(image("BayerRG12p", [mosaic("rggb")]))


@pytest.mark.parametrize(("bits", "big"), [(10, 0), (12, 0), (12, 1), (16, 0)])
@pytest.mark.parametrize("order", ORDERS)
def test_a_mosaic_of_16_bits_has_them_too_however_many_are_filled(order, bits, big):
    deep = (mosaic(order).astype(np.uint16) << (bits - 8)) | ((1 << (bits - 8)) - 1)
    deep[0, 0] = (1 << bits) - 1
    data = deep.astype(">u2" if big else "<u2").tobytes()
    msg = SimpleNamespace(
        encoding=f"bayer_{order}16", width=64, height=48, step=128, is_bigendian=big, data=data
    )
    assert error(msg) < 3


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("form", "extension", "options"),
    [
        ("bayer_{}8; jpeg compressed ", ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
        ("bayer_{}8; png compressed ", ".png", []),
        ("bayer_{}8", ".png", []),
    ],
)
def test_a_packed_mosaic_has_them_too(order, form, extension, options):
    data = cv2.imencode(extension, mosaic(order), options)[1].tobytes()
    assert error(SimpleNamespace(format=form.format(order), data=data)) < 4


def test_a_bayer_camera_whose_driver_made_colours_of_it_stays_as_it_is():
    data = cv2.imencode(".png", SCENE[..., ::-1])[1].tobytes()
    name = "bayer_rggb8; png compressed bgr8"
    assert error(SimpleNamespace(format=name, data=data)) == 0
