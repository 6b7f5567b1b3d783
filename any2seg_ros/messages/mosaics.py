"""Raw pictures that are no plain array of colours: YUV in its layouts, and Bayer mosaics.

Names are those of sensor_msgs/image_encodings and of Video4Linux, in lower case. Conversions are
OpenCV's: YUV is ITU-R BT.601 with 16..235, as cameras send it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import cv2
import numpy as np

from any2seg_ros.messages.buffers import as_bytes
from any2seg_ros.messages.sizes import check_area
from any2seg_ros.types import InvalidMeasurement


class _Planes(NamedTuple):
    """Y in full, then the colours: how much of them there is, and in which order."""

    rows: int
    """Rows of Y for every row of colours."""
    columns: int
    """Columns of Y for every pair of colours."""
    interleaved: bool
    v_first: bool


_PACKED = {
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yvyu": cv2.COLOR_YUV2RGB_YVYU,
}
_PLANAR = {
    "nv12": _Planes(2, 2, True, False),
    "nv21": _Planes(2, 2, True, True),
    "i420": _Planes(2, 2, False, False),
    "yv12": _Planes(2, 2, False, True),
    "nv16": _Planes(1, 2, True, False),
    "nv61": _Planes(1, 2, True, True),
    "i422": _Planes(1, 2, False, False),
    "nv24": _Planes(1, 1, True, False),
    "nv42": _Planes(1, 1, True, True),
}
_WHOLE = {
    "nv12": cv2.COLOR_YUV2RGB_NV12,
    "nv21": cv2.COLOR_YUV2RGB_NV21,
    "i420": cv2.COLOR_YUV2RGB_I420,
    "yv12": cv2.COLOR_YUV2RGB_YV12,
}
"""What OpenCV takes as it is, where lines have no padding."""
_ALSO = {
    "yuv422": "uyvy",
    "yuv422_uyvy": "uyvy",
    "2vuy": "uyvy",
    "yuv422_yuy2": "yuyv",
    "yuy2": "yuyv",
    "yuv420": "i420",
    "yuv420p": "i420",
    "iyuv": "i420",
    "yu12": "i420",
    "yuv422p": "i422",
}
_BAYER = re.compile(r"bayer_?(rggb|bggr|gbrg|grbg|rg|bg|gb|gr)(8|10|12|14|16)?(?![a-z\d])")
_GENICAM = {"rg": "rggb", "bg": "bggr", "gb": "gbrg", "gr": "grbg"}
"""What GenICam calls them, by the first line alone: BayerRG8."""
# OpenCV names a mosaic by the second and third pixel of its second line.
_DEMOSAIC = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
NAMES = (*_PACKED, *_PLANAR, *(f"bayer_{order}8 and 16" for order in _DEMOSAIC))


def is_yuv(name: str) -> bool:
    """Whether an encoding, in lower case, is YUV in one of the layouts that are read."""
    return _ALSO.get(name, name) in (*_PACKED, *_PLANAR)


def _layout(msg: Any) -> str:
    name = str(msg.encoding).strip().lower()
    return _ALSO.get(name, name)


def bayer_order(name: str) -> str | None:
    """`rggb` or another order of a mosaic's first four pixels, of a name that begins with it."""
    found = _BAYER.match(name)
    return _GENICAM.get(found[1], found[1]) if found else None


def demosaic(mosaic: np.ndarray, order: str) -> np.ndarray:
    """The colours uint8 (h, w, 3), R, G, B, of a Bayer mosaic uint8 (h, w)."""
    if min(mosaic.shape) < 3:
        raise InvalidMeasurement("a Bayer image has at least 3 lines and columns")
    return cv2.cvtColor(np.ascontiguousarray(mosaic), _DEMOSAIC[order])


def yuv_size(msg: Any) -> tuple[int, int]:
    """(width, height) of the picture in an Image of YUV planes.

    Some drivers count the rows of the colours in the message's height: its data say so.
    """
    planes = _PLANAR.get(_layout(msg))
    width, height, step = int(msg.width), int(msg.height), int(msg.step)
    if planes is None or planes.rows != 2 or height % 3 or step < width:
        return width, height
    data = len(as_bytes(msg.data))
    counted = data == step * height and data != width * height * 3 // 2
    return (width, height * 2 // 3 if counted else height)


def yuv_to_rgb(msg: Any) -> np.ndarray:
    """The picture uint8 (h, w, 3), R, G, B, of a sensor_msgs/Image of YUV."""
    name = _layout(msg)
    width, height = yuv_size(msg)
    check_area("image", width, height)
    data, step = as_bytes(msg.data), int(msg.step)
    if name in _PACKED:
        pixels = _lines(data, height, 2 * width, step).reshape(height, width, 2)
        _even(name, width, 2)
        return cv2.cvtColor(pixels, _PACKED[name])
    planes = _PLANAR[name]
    whole = width * height * 3 // 2
    if name in _WHOLE and len(data) == whole and width % 2 == height % 2 == 0:
        return cv2.cvtColor(data.reshape(height * 3 // 2, width), _WHOLE[name])
    y, u, v = _planes(data, width, height, step, planes)
    _even(name, width, 2)
    _even(name, height, planes.rows)
    return _merged(y, u, v)


def _even(name: str, length: int, factor: int) -> None:
    if length % factor:
        raise InvalidMeasurement(f"a side of {length} pixels is no whole number of {name}'s")


def _lines(data: np.ndarray, rows: int, line: int, step: int) -> np.ndarray:
    """Rows of `line` bytes, contiguous; `step` counts only where it fits the data."""
    if len(data) == rows * line:
        step = line
    needed = step * (rows - 1) + line
    if step < line:
        raise InvalidMeasurement(
            f"image lines are too short for their encoding: {step} of {line} bytes"
        )
    if len(data) < needed:
        raise InvalidMeasurement(f"image data are truncated: {len(data)} of {needed} bytes")
    return np.ascontiguousarray(np.ndarray((rows, line), np.uint8, data, 0, (step, 1)))


def _planes(
    data: np.ndarray, width: int, height: int, step: int, planes: _Planes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y (h, w), U and V (h / rows, w / columns) of data whose rows take `step` bytes."""
    across, down = width // planes.columns, height // planes.rows
    if len(data) == width * height + 2 * across * down:
        step = width
    y = _lines(data[: height * step], height, width, step)
    rest = data[height * step :]
    if planes.interleaved:
        both = _lines(rest, down, 2 * across, step * 2 // planes.columns)
        one, other = both[:, 0::2], both[:, 1::2]
    else:
        colours = step // planes.columns
        one = _lines(rest[: down * colours], down, across, colours)
        other = _lines(rest[down * colours :], down, across, colours)
    return (y, other, one) if planes.v_first else (y, one, other)


def _merged(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Colours of half the columns at least, as OpenCV takes them."""
    if len(u) < len(y):
        flat = np.concatenate([y.ravel(), u.ravel(), v.ravel()])
        return cv2.cvtColor(flat.reshape(-1, y.shape[1]), cv2.COLOR_YUV2RGB_I420)
    every = 2 * u.shape[1] // y.shape[1]
    pairs = np.empty((*y.shape, 2), np.uint8)
    pairs[..., 0] = y
    pairs[:, 0::2, 1], pairs[:, 1::2, 1] = u[:, ::every], v[:, ::every]
    return cv2.cvtColor(pairs, cv2.COLOR_YUV2RGB_YUY2)
