"""sensor_msgs/Image and CompressedImage to arrays, and masks back to Image fields."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import cv2
import numpy as np

from any2seg_ros.messages.buffers import as_bytes, from_array
from any2seg_ros.messages.mosaics import (
    NAMES,
    bayer_order,
    demosaic,
    is_yuv,
    yuv_size,
    yuv_to_rgb,
)
from any2seg_ros.messages.packed import PNG, check_packed, jpeg_size, packed_size
from any2seg_ros.messages.rvl import rvl_size, unpack_rvl
from any2seg_ros.messages.sizes import check_area
from any2seg_ros.messages.video import is_video
from any2seg_ros.messages.zipped import is_zipped, unzipped, zipped_size
from any2seg_ros.types import InvalidMeasurement, plain

_VIEWS: dict[str, tuple[type[np.generic], int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "8uc1": (np.uint8, 1),
    "8uc3": (np.uint8, 3),
    "8uc4": (np.uint8, 4),
    "mono8": (np.uint8, 1),
    "mono16": (np.uint16, 1),
    "rgb16": (np.uint16, 3),
    "bgr16": (np.uint16, 3),
    "16uc1": (np.uint16, 1),
    "16sc1": (np.int16, 1),
    "32fc1": (np.float32, 1),
    "64fc1": (np.float64, 1),
}
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "rgb8": ("rgb", "rgb24", "rgb888"),
    "bgr8": ("bgr", "bgr24", "bgr888"),
    "rgba8": ("rgba",),
    "bgra8": ("bgra",),
    "mono8": ("mono", "grey", "gray", "grey8", "gray8", "y8", "y800"),
    "mono16": ("grey16", "gray16", "mono10", "mono12", "mono14", "y10", "y12", "y14", "y16"),
    "bgr16": ("16uc3",),
    "16uc1": ("z16",),
}
_ALSO = {other: name for name, others in _SPELLINGS.items() for other in others}
"""Names that drivers use beside those of sensor_msgs."""
_DEPTHS = {"16uc1", "mono16", "32fc1", "16sc1", "64fc1"}
_PICTURES = _VIEWS.keys() - (_DEPTHS - {"mono16"})
_OUTGOING = {"mono8": 1, "mono16": 2, "rgb8": 3, "bgr8": 3, "32FC1": 4}
_READ = ", ".join((*sorted(_PICTURES), *NAMES))
_WORDS = ("10", "12", "14", "16")
"""Bits of a mosaic that take two bytes."""
_AGREEING, _RECENT = 3, 10
"""So many of so many images tell how many bits a camera fills."""
_HEADER = 12
"""Bytes of compressed_depth_image_transport's ConfigHeader before the PNG or RVL."""


class BitDepth:
    """How many of its 16 bits a camera fills: 10, 12, 14 or 16; it only grows.

    Cameras of 12 bits send mono16 or rgb16 whose upper bits are 0. What three images among ten
    in a row have needed is what they fill: a dark image after bright ones is as dark as it is, and
    one that is broken changes no other.
    """

    def __init__(self) -> None:
        self.bits = 10
        self._needed: deque[int] = deque(maxlen=_RECENT)

    def upper_byte(self, pixels: np.ndarray) -> np.ndarray:
        """uint16 pixels as uint8: of the bits that are filled, the upper eight.

        A few pixels above them, as hot ones are, become 255.
        """
        needed = _bits_of(pixels)
        self._needed.append(needed)
        if len(self._needed) >= _AGREEING:
            self.bits = max(self.bits, sorted(self._needed)[-_AGREEING])
        bits = max(self.bits, needed)
        return (np.minimum(pixels, (1 << bits) - 1) >> (bits - 8)).astype(np.uint8)


def _bits_of(pixels: np.ndarray) -> int:
    """10, 12, 14 or 16: what all pixels need but one in ten thousand."""
    few = pixels.size // 10_000
    for bits in (10, 12, 14):
        if np.count_nonzero(pixels >= 1 << bits) <= few:
            return bits
    return 16


def image_size(msg: Any) -> tuple[int, int] | None:
    """(width, height) that an Image, CompressedImage, EventPacket or EventArray says it has.

    None for a packed image that is none of JPEG, PNG and RVL, and for video without a size: it is
    known when it is unpacked.
    """
    if is_video(msg):
        width, height = int(getattr(msg, "width", 0)), int(getattr(msg, "height", 0))
        return (width, height) if width and height else None
    if is_zipped(msg):
        return zipped_size(msg)
    if not hasattr(msg, "width"):
        return rvl_size(packed_image(msg)) if _is_rvl(msg) else packed_size(packed_image(msg))
    if hasattr(msg, "step") and is_yuv(_encoding(msg)):
        return yuv_size(msg)
    return int(msg.width), int(msg.height)


def packed_image(msg: Any) -> np.ndarray:
    """The bytes of a CompressedImage, behind compressedDepth's header where there is one.

    Not all writers say so in its format, nor has all that says so a header: a PNG tells.
    """
    data = as_bytes(msg.data)
    if bytes(data[: len(PNG)]) == PNG:
        return data
    behind = data[_HEADER:]
    headed = "compresseddepth" in str(msg.format).lower() or bytes(behind[: len(PNG)]) == PNG
    return behind if headed else data


def _is_rvl(msg: Any) -> bool:
    name = str(msg.format).lower()
    return "compresseddepth" in name and name.rstrip().endswith("rvl")


def _encoding(msg: Any) -> str:
    """The encoding of an Image as our tables have it."""
    name = str(msg.encoding).strip().lower().removeprefix("type_").removeprefix("cv_")
    return _ALSO.get(name, name)


def view_image(msg: Any) -> np.ndarray:
    """The pixels of a sensor_msgs/Image as they are: (h, w) or (h, w, c), little endian.

    A view of the message's bytes where their order is the machine's; `step` is respected.
    InvalidMeasurement
    for sizes that do not fit the data and for encodings that are no plain array.
    """
    name = _encoding(msg)
    if name not in _VIEWS:
        raise InvalidMeasurement(
            f"unknown image encoding '{plain(msg.encoding)}': read are {_READ}"
        )
    return _view(msg, *_VIEWS[name])


def _view(msg: Any, kind: type[np.generic], channels: int) -> np.ndarray:
    dtype = np.dtype(kind)
    height, width = int(msg.height), int(msg.width)
    data, step = _checked_bytes(msg, channels * dtype.itemsize)
    swapped = bool(msg.is_bigendian) != (sys.byteorder == "big")
    stored = dtype.newbyteorder("S") if swapped else dtype
    pixel = (channels * dtype.itemsize, dtype.itemsize)
    pixels = np.ndarray((height, width, channels), stored, data, 0, (step, *pixel))
    if swapped and dtype.itemsize > 1:
        pixels = pixels.astype(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def _checked_bytes(msg: Any, pixel: int) -> tuple[np.ndarray, int]:
    """The data of an Image whose pixels take `pixel` bytes at least, uint8 (n,), and its step.

    Where the lines follow each other without padding, what `step` says does not count.
    InvalidMeasurement if its size, its `step` and its data do not go together.
    """
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    check_area("image", width, height)
    line = width * pixel
    data = as_bytes(msg.data)
    if len(data) == line * height:
        return data, line
    if step < line:
        raise InvalidMeasurement(
            f"image lines are too short for their encoding: {step} of {line} bytes"
        )
    needed = step * (height - 1) + line
    if len(data) < needed:
        raise InvalidMeasurement(f"image data are truncated: {len(data)} of {needed} bytes")
    return data, step


def decode_image(msg: Any, depth: BitDepth | None = None) -> np.ndarray:
    """A picture: uint8 (h, w, 3) in the order R, G, B, or uint8 (h, w).

    Takes sensor_msgs/Image and CompressedImage. Pictures that come as BGR are views with their
    channels turned round. 16 bits keep the upper byte of what is filled of them,
    by `depth` where a camera's is known. Encodings that are not read here go through cv_bridge;
    InvalidMeasurement, which names what is read, where that does not know them either.
    """
    depth = depth or BitDepth()
    msg = unzipped(msg) if is_zipped(msg) else msg
    if not hasattr(msg, "encoding"):
        return decode_compressed(msg, depth=depth)
    name = _encoding(msg)
    if name in _DEPTHS - _PICTURES:
        raise InvalidMeasurement(
            f"wrong encoding for a picture: '{plain(msg.encoding)}'; read are {_READ}"
        )
    if is_yuv(name):
        return yuv_to_rgb(msg)
    order = bayer_order(name)
    if order:
        mosaic = _view(msg, np.uint16 if name.endswith(_WORDS) else np.uint8, 1)
        return demosaic(depth.upper_byte(mosaic) if mosaic.dtype == np.uint16 else mosaic, order)
    if name not in _PICTURES:
        return _bridged(msg)
    pixels = view_image(msg)
    if pixels.dtype == np.uint16:
        pixels = depth.upper_byte(pixels)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 4:
        swap = cv2.COLOR_RGBA2RGB if name == "rgba8" else cv2.COLOR_BGRA2RGB
        return cv2.cvtColor(np.ascontiguousarray(pixels), swap)
    return pixels if name.startswith("rgb") else pixels[..., ::-1]


def _bridged(msg: Any) -> np.ndarray:
    _checked_bytes(msg, 1)  # no encoding has less than a byte for a pixel
    try:
        from cv_bridge import CvBridge
    except Exception as error:
        raise InvalidMeasurement(
            f"unknown image encoding '{plain(msg.encoding)}': read are {_READ}; cv_bridge, which "
            "may know it, cannot be imported"
        ) from error
    try:
        pixels = CvBridge().imgmsg_to_cv2(msg, desired_encoding="rgb8")
    except Exception as error:
        raise InvalidMeasurement(
            f"unknown image encoding '{plain(msg.encoding)}', or data that do not fit it: "
            f"cv_bridge cannot convert them; read are {_READ}"
        ) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InvalidMeasurement(
            f"cv_bridge made no picture of the encoding '{plain(msg.encoding)}'"
        )
    return pixels


def decode_compressed(
    msg: Any, minimum: tuple[int, int] | None = None, depth: BitDepth | None = None
) -> np.ndarray:
    """A sensor_msgs/CompressedImage (JPEG, PNG, ...): uint8 (h, w, 3), R, G, B, or (h, w).

    Grey where the format says mono; a grey file whose format says bayer_* is a mosaic and becomes
    a picture of colours. With a `minimum` (width, height), a JPEG may be unpacked at a
    half, a quarter or an eighth of its size, but not below the minimum: the data then have fewer
    pixels than the camera_info says (`Camera.resized` makes the camera that fits).
    """
    data = as_bytes(msg.data)
    if len(data) == 0:
        raise InvalidMeasurement("compressed image is empty")
    name = str(msg.format).strip().lower()
    _check_is_picture(name)
    order = bayer_order(name)
    grey = name.startswith(("mono", "8uc1", "16uc1"))
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if order:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    elif grey:
        flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    if minimum is not None and not order:
        flags = _reduced(data, minimum, grey) or flags
    pixels = _unpacked(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels.dtype == np.uint16:
        pixels = (depth or BitDepth()).upper_byte(pixels)
    if pixels.dtype != np.uint8:
        raise InvalidMeasurement(f"wrong encoding for a picture: its pixels are {pixels.dtype}")
    if pixels.ndim == 2:
        return demosaic(pixels, order) if order else pixels
    return pixels[..., ::-1]


_VIDEO = ("h264", "h265", "hevc", "av1", "vp8", "vp9", "theora")


def _check_is_picture(name: str) -> None:
    if name.startswith(_VIDEO):
        raise InvalidMeasurement(
            f"'{plain(name)}' is video: have it published as H.264 or H.265, in "
            "foxglove_msgs/CompressedVideo or ffmpeg_image_transport_msgs/FFMPEGPacket"
        )


def _unpacked(data: np.ndarray, flags: int, what: str = "compressed image") -> np.ndarray:
    check_packed(data, what)
    try:
        pixels = cv2.imdecode(data, flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InvalidMeasurement(f"{what} cannot be unpacked")
    return pixels


def _reduced(data: np.ndarray, minimum: tuple[int, int], grey: bool) -> int | None:
    size = jpeg_size(data)
    if size is None:
        return None
    colours = "GRAYSCALE" if grey else "COLOR"
    for factor in (8, 4, 2):
        if size[0] // factor >= minimum[0] and size[1] // factor >= minimum[1]:
            return getattr(cv2, f"IMREAD_REDUCED_{colours}_{factor}")
    return None


def decode_depth(msg: Any) -> np.ndarray:
    """Depth (h, w): uint16 in millimetres or float32 in metres; 0 and NaN are holes.

    Takes sensor_msgs/Image with 16UC1 (mm) or 32FC1 (m) (REP 118), and their signed and double
    relatives; CompressedImage of compressed_depth_image_transport: a header of 12 bytes {int32
    format; float32 a, b}, then a PNG or RVL of 16UC1, or of 32FC1 quantised as inverse depth v with
    depth = a / (v - b), 0 a hole; and CompressedImage with a PNG of 16UC1 or a TIFF of 32FC1.
    """
    msg = unzipped(msg) if is_zipped(msg) else msg
    if hasattr(msg, "encoding"):
        name = _encoding(msg)
        if name not in _DEPTHS:
            raise InvalidMeasurement(
                f"wrong encoding for depth: '{plain(msg.encoding)}'; read are 16UC1 (mm) "
                "and 32FC1 (m)"
            )
        return _depth_type(view_image(msg))
    name = str(msg.format).lower()
    packed = packed_image(msg)
    if len(packed) == 0:
        raise InvalidMeasurement("compressed depth is empty")
    if jpeg_size(packed) is not None:
        raise InvalidMeasurement(
            "depth is packed as JPEG, which alters it: use its compressedDepth topic"
        )
    if _is_rvl(msg):
        pixels = unpack_rvl(packed)
    else:
        pixels = _unpacked(packed, cv2.IMREAD_UNCHANGED, "compressed depth")
    return _unpacked_depth(pixels, name, as_bytes(msg.data), len(packed))


def _depth_type(depth: np.ndarray) -> np.ndarray:
    """Depth as uint16 or float32, contiguous; what is below zero becomes a hole."""
    if depth.dtype == np.int16:
        return np.maximum(depth, 0).astype(np.uint16)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(depth, np.float32 if depth.dtype == np.float64 else None)


def _unpacked_depth(pixels: np.ndarray, name: str, data: np.ndarray, packed: int) -> np.ndarray:
    if pixels.ndim == 2 and pixels.dtype == np.float32 and name.startswith("32fc1"):
        return pixels
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise InvalidMeasurement("compressed depth holds no 16 bit image")
    if not name.startswith("32fc1"):
        return pixels
    if packed == len(data):
        raise InvalidMeasurement("compressed depth of 32FC1 lacks its header")
    a, b = data[4:12].view("<f4").astype(np.float64)
    if not (a > 0 and np.isfinite((a, b)).all()):
        raise InvalidMeasurement(f"compressed depth of 32FC1 has no quantisation: {a:g} and {b:g}")
    with np.errstate(all="ignore"):
        metres = (a / (np.arange(1 << 16) - b)).astype(np.float32)
    metres[0] = np.nan
    return metres[pixels]


def decode_labels(msg: Any) -> np.ndarray:
    """Class ids uint8 (h, w) of a sensor_msgs/Image or CompressedImage; 255 has no class.

    InvalidMeasurement as in `class_ids`, and for JPEG.
    """
    return class_ids(view_image(msg)) if hasattr(msg, "encoding") else unpack_labels(msg.data)


def unpack_labels(data: Any) -> np.ndarray:
    """Class ids uint8 (h, w) of an encoded image (PNG, ...); InvalidMeasurement for JPEG."""
    packed = as_bytes(data)
    if len(packed) == 0:
        raise InvalidMeasurement("compressed image is empty")
    if bytes(packed[:2]) == b"\xff\xd8":
        raise InvalidMeasurement(
            "labels are packed as JPEG, which alters class ids: pack them as PNG"
        )
    return class_ids(_unpacked(packed, cv2.IMREAD_UNCHANGED))


def class_ids(pixels: np.ndarray) -> np.ndarray:
    """Pixels of a label image (h, w) or (h, w, 3 or 4) as class ids uint8 (h, w), contiguous.

    uint8, or uint16 in which 65535 means 255. Colour channels must be equal; alpha is ignored.
    InvalidMeasurement for everything else.
    """
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InvalidMeasurement(f"labels are {pixels.dtype}: store class ids in 8 or 16 bits")
    ids = pixels if pixels.ndim == 2 else pixels[..., 0]
    if pixels.ndim == 3 and any((pixels[..., i] != ids).any() for i in (1, 2)):
        raise InvalidMeasurement("labels are colours: store class ids in one channel")
    if ids.dtype == np.uint16 and ((ids > 255) & (ids != 65535)).any():
        raise InvalidMeasurement(
            "labels of 16 bits exceed 255: class ids are 0 to 255, and 65535 for none"
        )
    # The lower byte of 65535 is 255.
    return np.ascontiguousarray(ids.astype(np.uint8, copy=False))


def image_fields(pixels: np.ndarray, encoding: str) -> dict[str, Any]:
    """The fields of a sensor_msgs/Image but its header, as plain Python values.

    `pixels` (h, w) or (h, w, 3) of the encoding's type: mono8, mono16, rgb8, bgr8 or 32FC1.
    `step` is the width in bytes, without padding. ValueError if they do not fit the encoding.
    """
    height, width = pixels.shape[:2]
    step = width * _OUTGOING.get(encoding, 0)
    if encoding not in _OUTGOING or step * height != pixels.nbytes:
        known = ", ".join(_OUTGOING)
        raise ValueError(
            f"{pixels.dtype} {pixels.shape} is no '{encoding}' image: use one of {known}"
        )
    return {
        "height": int(height),
        "width": int(width),
        "encoding": encoding,
        "is_bigendian": int(sys.byteorder == "big"),
        "step": int(step),
        "data": from_array(pixels),
    }


def mask_fields(labels: np.ndarray) -> dict[str, Any]:
    """labels uint8 (h, w) as the fields of a mono8 Image; 255 is a pixel without a class."""
    return image_fields(labels, "mono8")


def confidence_fields(confidence: np.ndarray, encoding: str = "mono8") -> dict[str, Any]:
    """confidence float32 (h, w) in 0..1 as a mono8 Image (0..255) or, as it is, a 32FC1 one."""
    if encoding == "32FC1":
        return image_fields(confidence.astype(np.float32, copy=False), encoding)
    return image_fields(cv2.convertScaleAbs(confidence, alpha=255.0), "mono8")
