"""sensor_msgs/Image and CompressedImage to arrays, and masks back to Image fields."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np

from any2seg_ros.messages.buffers import as_bytes, from_array
from any2seg_ros.messages.sizes import check_area, jpeg_size, packed_image, packed_size
from any2seg_ros.types import InvalidMeasurement

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
    "16uc1": (np.uint16, 1),
    "32fc1": (np.float32, 1),
}
_PICTURES = {"rgb8", "bgr8", "rgba8", "bgra8", "8uc1", "8uc3", "8uc4", "mono8", "mono16"}
_DEPTHS = {"16uc1", "mono16", "32fc1"}
_OUTGOING = {"mono8": 1, "mono16": 2, "rgb8": 3, "bgr8": 3, "32FC1": 4}


def view_image(msg: Any) -> np.ndarray:
    """The pixels of a sensor_msgs/Image as they are: (h, w) or (h, w, c), little endian.

    A view of the message's bytes where their order is the machine's; `step` is respected.
    InvalidMeasurement
    for sizes that do not fit the data and for encodings that are no plain array.
    """
    name = str(msg.encoding).strip().lower()
    if name not in _VIEWS:
        raise InvalidMeasurement(f"unknown image encoding '{msg.encoding}'")
    kind, channels = _VIEWS[name]
    dtype = np.dtype(kind)
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    data = _checked_bytes(msg, channels * dtype.itemsize)
    swapped = bool(msg.is_bigendian) != (sys.byteorder == "big")
    stored = dtype.newbyteorder("S") if swapped else dtype
    pixel = (channels * dtype.itemsize, dtype.itemsize)
    pixels = np.ndarray((height, width, channels), stored, data, 0, (step, *pixel))
    if swapped and dtype.itemsize > 1:
        pixels = pixels.astype(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def _checked_bytes(msg: Any, pixel: int) -> np.ndarray:
    """The data of an Image whose pixels take `pixel` bytes at least, uint8 (n,).

    InvalidMeasurement if its size, its `step` and its data do not go together.
    """
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    check_area("image", width, height)
    line = width * pixel
    if step < line:
        raise InvalidMeasurement(
            f"image lines are too short for their encoding: {step} of {line} bytes"
        )
    data = as_bytes(msg.data)
    needed = step * (height - 1) + line
    if len(data) < needed:
        raise InvalidMeasurement(f"image data are truncated: {len(data)} of {needed} bytes")
    return data


def decode_image(msg: Any) -> np.ndarray:
    """A picture: uint8 (h, w, 3) in the order R, G, B, or uint8 (h, w).

    Takes sensor_msgs/Image and CompressedImage. Pictures that come as BGR are views with their
    channels turned round. 16-bit grey keeps its upper byte. Other encodings (Bayer, YUV, ...) go
    through cv_bridge; InvalidMeasurement if that is not installed.
    """
    if not hasattr(msg, "encoding"):
        return decode_compressed(msg)
    name = str(msg.encoding).strip().lower()
    if name in _DEPTHS - _PICTURES:
        raise InvalidMeasurement(f"wrong encoding for a picture: '{msg.encoding}'")
    if name not in _PICTURES:
        return _bridged(msg)
    pixels = view_image(msg)
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 4:
        swap = cv2.COLOR_RGBA2RGB if name == "rgba8" else cv2.COLOR_BGRA2RGB
        return cv2.cvtColor(np.ascontiguousarray(pixels), swap)
    return pixels if name == "rgb8" else pixels[..., ::-1]


def _bridged(msg: Any) -> np.ndarray:
    _checked_bytes(msg, 1)  # no encoding has less than a byte for a pixel
    try:
        from cv_bridge import CvBridge
    except Exception as error:
        raise InvalidMeasurement(
            f"unknown image encoding '{msg.encoding}', and cv_bridge, which may know it, "
            "cannot be imported"
        ) from error
    try:
        pixels = CvBridge().imgmsg_to_cv2(msg, desired_encoding="rgb8")
    except Exception as error:
        raise InvalidMeasurement(
            f"unknown image encoding '{msg.encoding}', or data that do not fit it: "
            "cv_bridge cannot convert them"
        ) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InvalidMeasurement(f"cv_bridge made no picture of the encoding '{msg.encoding}'")
    return pixels


def decode_compressed(msg: Any, minimum: tuple[int, int] | None = None) -> np.ndarray:
    """A sensor_msgs/CompressedImage (JPEG, PNG, ...): uint8 (h, w, 3), R, G, B, or (h, w).

    Grey where the format says mono. With a `minimum` (width, height), a JPEG may be unpacked at a
    half, a quarter or an eighth of its size, but not below the minimum: the data then have fewer
    pixels than the camera_info says (`Camera.resized` makes the camera that fits).
    """
    data = as_bytes(msg.data)
    if len(data) == 0:
        raise InvalidMeasurement("compressed image is empty")
    grey = str(msg.format).strip().lower().startswith(("mono", "8uc1", "16uc1"))
    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    if minimum is not None:
        flags = _reduced(data, minimum, grey) or flags
    pixels = _unpacked(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    return pixels if pixels.ndim == 2 else pixels[..., ::-1]


def _unpacked(data: np.ndarray, flags: int) -> np.ndarray:
    size = packed_size(data)
    if size is not None:
        check_area("compressed image", *size)
    try:
        pixels = cv2.imdecode(data, flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InvalidMeasurement("compressed image cannot be unpacked")
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

    Takes sensor_msgs/Image with 16UC1 (mm) or 32FC1 (m) (REP 118) and CompressedImage of
    compressed_depth_image_transport: a header of 12 bytes {int32 format; float32 a, b}, then a
    PNG of 16UC1, or of 32FC1 quantised as inverse depth v with depth = a / (v - b), 0 a hole.
    """
    if hasattr(msg, "encoding"):
        if str(msg.encoding).strip().lower() not in _DEPTHS:
            raise InvalidMeasurement(f"wrong encoding for depth: '{msg.encoding}'")
        return np.ascontiguousarray(view_image(msg))
    name = str(msg.format).lower()
    data = as_bytes(msg.data)
    if "rvl" in name:
        raise InvalidMeasurement("depth is compressed with RVL: have it published as png")
    packed = packed_image(msg)
    if len(packed) == 0:
        raise InvalidMeasurement("compressed depth is empty")
    pixels = _unpacked(packed, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise InvalidMeasurement("compressed depth holds no 16 bit image")
    if not name.startswith("32fc1"):
        return pixels
    if len(packed) == len(data):
        raise InvalidMeasurement("compressed depth of 32FC1 lacks its header")
    a, b = data[4:12].view("<f4").astype(np.float64)
    with np.errstate(all="ignore"):
        depth = (a / (pixels - b)).astype(np.float32)
    depth[pixels == 0] = np.nan
    return depth


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
