"""CvBridge, with the documented interface of vision_opencv's Python package."""

from __future__ import annotations

import sys
from array import array
from typing import Any

import cv2
import numpy as np
from cv_bridge.encodings import PLANAR, CvBridgeError, channels_and_type, convert, convert_planar
from sensor_msgs.msg import CompressedImage, Image

_NAMES = {
    "uint8": "8U",
    "int8": "8S",
    "uint16": "16U",
    "int16": "16S",
    "int32": "32S",
    "float32": "32F",
    "float64": "64F",
}


class CvBridge:
    """Converts between sensor_msgs images and OpenCV's NumPy arrays."""

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """('uint8', 3) for bgr8; CvBridgeError if the encoding is unknown."""
        channels, dtype = channels_and_type(encoding)
        return dtype, channels

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        """The pixels of `img_msg`; without a conversion they share memory with its data.

        Handles padded rows (`step`) and either byte order (`is_bigendian`). CvBridgeError for an
        unknown encoding or an impossible conversion.
        """
        if img_msg.encoding in PLANAR and desired_encoding != "passthrough":
            return convert_planar(img_msg, desired_encoding)
        channels, name = channels_and_type(img_msg.encoding)
        pixels = _pixels(img_msg, channels, np.dtype(name))
        if desired_encoding == "passthrough":
            return pixels
        return convert(pixels, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> np.ndarray:
        """The image as OpenCV decodes it (BGR or grey, unchanged depth), or converted from bgr8."""
        pixels = cv2.imdecode(np.frombuffer(cmprs_img_msg.data, np.uint8), cv2.IMREAD_UNCHANGED)
        if desired_encoding == "passthrough" or pixels is None:
            return pixels
        return convert(pixels, "bgr8" if pixels.ndim == 3 else "mono8", desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = "passthrough", header: Any = None
    ) -> Image:
        """An Image of `cvim`; CvBridgeError if its type is not that of `encoding`."""
        if not isinstance(cvim, (np.ndarray, np.generic)):
            raise TypeError("Your input type is not a numpy array")
        channels = 1 if cvim.ndim < 3 else cvim.shape[2]
        name = f"{_NAMES[cvim.dtype.name]}C{channels}"
        if encoding != "passthrough" and channels_and_type(encoding) != (channels, cvim.dtype.name):
            raise CvBridgeError(f"encoding specified as {encoding}, but image has type {name}")
        msg = Image(height=cvim.shape[0], width=cvim.shape[1])
        if header is not None:
            msg.header = header
        msg.encoding = name if encoding == "passthrough" else encoding
        msg.is_bigendian = int(_is_foreign(cvim.dtype) != (sys.byteorder == "big"))
        msg.step = cvim.shape[1] * channels * cvim.dtype.itemsize
        data = array("B")
        data.frombytes(np.ascontiguousarray(cvim).tobytes())
        msg.data = data
        return msg


def _is_foreign(dtype: np.dtype) -> bool:
    return not dtype.isnative


def _pixels(msg: Image, channels: int, dtype: np.dtype) -> np.ndarray:
    foreign = bool(msg.is_bigendian) != (sys.byteorder == "big") and dtype.itemsize > 1
    shape: tuple[int, ...] = (msg.height, msg.width)
    strides: tuple[int, ...] = (msg.step, dtype.itemsize * channels)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    source = dtype.newbyteorder() if foreign else dtype
    needed = (msg.height - 1) * msg.step + msg.width * channels * dtype.itemsize
    if len(msg.data) < max(needed, 1):  # of an empty buffer NumPy does not check the size
        raise CvBridgeError(f"image data are truncated: {len(msg.data)} of {needed} bytes")
    pixels = np.ndarray(shape, source, buffer=msg.data, strides=strides)
    return np.ascontiguousarray(pixels.astype(dtype) if foreign else pixels)
