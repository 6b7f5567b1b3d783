"""Encodings of sensor_msgs/image_encodings.hpp, and conversions between them."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np


class CvBridgeError(TypeError):
    """An impossible conversion."""


_COLORS = {
    "mono8": ("GRAY", 1, "uint8"),
    "mono16": ("GRAY", 1, "uint16"),
    **{
        f"{order}{bits}": (order.upper(), len(order), f"uint{bits}")
        for order in ("rgb", "bgr", "rgba", "bgra")
        for bits in (8, 16)
    },
    # OpenCV names a Bayer pattern by the second row's second and third pixel.
    **{
        f"bayer_{pattern}{bits}": (f"Bayer{name}", 1, f"uint{bits}")
        for pattern, name in (("rggb", "BG"), ("bggr", "RG"), ("gbrg", "GR"), ("grbg", "GB"))
        for bits in (8, 16)
    },
    **{name: ("UYVY", 2, "uint8") for name in ("yuv422", "uyvy")},
    **{name: ("YUY2", 2, "uint8") for name in ("yuv422_yuy2", "yuyv")},
}
_TYPES = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
_TARGETS = ("GRAY", "RGB", "BGR", "RGBA", "BGRA")


def channels_and_type(encoding: str) -> tuple[int, str]:
    """(channels, dtype's name) of an encoding."""
    if encoding in _COLORS:
        return _COLORS[encoding][1:]
    match = re.fullmatch(r"(8U|8S|16U|16S|32S|32F|64F)C(\d*)", encoding)
    if not match:
        raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
    return int(match[2] or 1), _TYPES[match[1]]


def convert(pixels: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert pixels from encoding `source` to `target`: reorder colours, rescale 8 and 16 bits."""
    channels, dtype = channels_and_type(target)
    if source in _COLORS and target in _COLORS:
        return _rescaled(_recolored(pixels, _COLORS[source][0], _COLORS[target][0]), dtype)
    if target in _COLORS:
        raise CvBridgeError(
            f"[{source}] is not a color format. but [{target}] is. "
            "The conversion does not make sense"
        )
    if source in _COLORS and channels_and_type(source) != (channels, dtype):
        raise CvBridgeError(
            f"[{source}] is a color format but [{target}] is not so they must have the same type"
        )
    if channels_and_type(source)[0] != channels:
        raise CvBridgeError(f"[{source}] and [{target}] do not have the same number of channel")
    return pixels if pixels.dtype == dtype else _cast(pixels, dtype)


PLANAR = ("nv21", "nv24")
"""Full-resolution luma, then a plane of chroma pairs at half (nv21) or full size (nv24)."""


def convert_planar(msg: Any, target: str) -> np.ndarray:
    """The pixels of an nv21 (V before U) or nv24 (U before V) image in a colour encoding."""
    order = _COLORS.get(target, ("",))[0]
    if order not in _TARGETS:
        raise CvBridgeError(f"Unsupported conversion from [{msg.encoding}] to [{target}]")
    height, width = msg.height, msg.width
    rows = np.frombuffer(msg.data, np.uint8)
    if msg.encoding == "nv21":
        planes = rows[: height * 3 // 2 * width].reshape(-1, width)
        pixels = cv2.cvtColor(planes, getattr(cv2, f"COLOR_YUV2{order}_NV21"))
    else:
        bright = rows[: height * width].reshape(height, width)
        chroma = rows[height * width : 3 * height * width].reshape(height, 2 * width)
        # Doubled brightness makes full chroma look like the half chroma that OpenCV knows.
        doubled = np.vstack([bright.repeat(2, 0).repeat(2, 1), chroma])
        pixels = cv2.cvtColor(doubled, getattr(cv2, f"COLOR_YUV2{order}_NV12"))[::2, ::2]
    return _rescaled(np.ascontiguousarray(pixels), _COLORS[target][2])


def _recolored(pixels: np.ndarray, source: str, target: str) -> np.ndarray:
    if source == target:
        return pixels
    if target not in _TARGETS:
        raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
    if source.startswith("Bayer"):
        if target.endswith("A"):
            pixels = cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{source}2{target[:3]}"))
            return cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{target[:3]}2{target}"))
        return cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{source}2{target}"))
    if source in ("UYVY", "YUY2"):
        return cv2.cvtColor(pixels, getattr(cv2, f"COLOR_YUV2{target}_{source}"))
    return cv2.cvtColor(pixels, getattr(cv2, f"COLOR_{source}2{target}"))


def _rescaled(pixels: np.ndarray, dtype: str) -> np.ndarray:
    if pixels.dtype == dtype:
        return pixels
    scale = 65535 / 255 if dtype == "uint16" else 255 / 65535
    return _cast(pixels * scale, dtype)


def _cast(pixels: np.ndarray, dtype: str) -> np.ndarray:
    """As OpenCV's convertTo: for integers, round half to even and saturate."""
    if np.issubdtype(dtype, np.floating):
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(pixels), limits.min, limits.max).astype(dtype)
