"""Reads the files of data sets; errors name the file and the fix."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from any2seg_ros.messages.packed import check_packed
from any2seg_ros.types import InvalidMeasurement

_LARGEST = 1 << 30
_LARGEST_PACKED = 1 << 28
"""Bytes of a file, and of the arrays in it, at most."""


class NoLabel(FileNotFoundError):
    """A frame has no ground truth."""


def existing(path: Path) -> Path:
    """The path of a file that is there; FileNotFoundError names one that is not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the data set is not complete")
    return path


def other_splits(root: Path, folders: str) -> str:
    """The splits in the folders at a pattern, as a hint; empty where there are none."""
    splits = sorted({folder.name for folder in root.glob(folders) if folder.is_dir()})
    return f"its splits are {', '.join(splits)}" if splits else ""


def read_image(path: Path, flags: int) -> np.ndarray:
    """An image as OpenCV reads it; FileNotFoundError or ValueError name the file and the fix."""
    if existing(path).stat().st_size > _LARGEST_PACKED:
        raise ValueError(f"{path} is too large for an image, more than {_LARGEST_PACKED} bytes")
    image = _unpacked(path.read_bytes(), flags)
    if image is None:
        raise ValueError(f"{path} is no readable image: fetch or make it again")
    return image


def _unpacked(packed: bytes, flags: int) -> np.ndarray | None:
    """A picture of a file's bytes, which are walked first: a length that lies costs gigabytes."""
    data = np.frombuffer(packed, np.uint8)
    try:
        check_packed(data)
        return cv2.imdecode(data, flags)
    except (InvalidMeasurement, cv2.error):
        return None


def read_label(path: Path, flags: int) -> np.ndarray:
    """`read_image` of the ground truth; NoLabel where it is missing."""
    try:
        return read_image(path, flags)
    except FileNotFoundError as error:
        raise NoLabel(*error.args) from None


def read_rgb(path: Path) -> np.ndarray:
    """A colour image, uint8 (h, w, 3)."""
    return cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_array(path: Path) -> Any:
    """The array of an .npy file, or those of an .npz file by name."""
    existing(path)
    try:
        _check_arrays(path)
        loaded = np.load(path, allow_pickle=False)
        return dict(loaded) if path.suffix == ".npz" else loaded
    except Exception as error:
        raise ValueError(f"{path} cannot be read ({error}): make it again") from None


def _check_arrays(path: Path) -> None:
    """ValueError for arrays that would take more memory than any data set's."""
    size = path.stat().st_size
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
    if size > _LARGEST:
        raise ValueError(f"its arrays have {size} bytes, at most {_LARGEST}")


def read_json(path: Path) -> Any:
    """What a JSON file holds; ValueError for one that cannot be read."""
    try:
        if path.stat().st_size > _LARGEST // 16:
            raise ValueError("it is too large")
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error}): fetch or make it again") from None


_PALETTE, _GREY = 3, 0
"""Colour types of a PNG."""


def read_label_ids(path: Path) -> np.ndarray:
    """The ids of a label PNG, uint8 or uint16 (h, w): grey values, or numbers of palette entries.

    NoLabel where it is missing; ValueError names a file that is no PNG of ids.
    """
    if not path.is_file():
        raise NoLabel(f"{path} is missing: the image has no label")
    packed, scale = _as_grey(path.read_bytes())
    ids = _unpacked(packed, cv2.IMREAD_UNCHANGED)
    if ids is None:
        raise ValueError(f"{path} is no readable PNG: make it again")
    if ids.ndim == 3:
        if any((ids[..., i] != ids[..., 0]).any() for i in (1, 2)):
            raise ValueError(f"{path} has colours: labels are ids, grey or numbers in a palette")
        ids = ids[..., 0]
    return ids // scale if scale > 1 else ids


def _as_grey(packed: bytes) -> tuple[bytes, int]:
    """A PNG with a palette as a grey one, so that its numbers are read and not its colours.

    And what grey values are to be divided by: fewer than 8 bits are spread when they are read.
    """
    if packed[:8] != b"\x89PNG\r\n\x1a\n" or packed[12:16] != b"IHDR":
        return packed, 1
    bits, kind = packed[24], packed[25]
    scale = 255 // (2**bits - 1) if 0 < bits < 8 and kind in (_PALETTE, _GREY) else 1
    if kind != _PALETTE:
        return packed, scale
    header = packed[12:25] + bytes([_GREY]) + packed[26:29]
    parts = [packed[:12], header, zlib.crc32(header).to_bytes(4, "big")]
    at = 33
    while at + 12 <= len(packed):
        end = at + 12 + int.from_bytes(packed[at : at + 4], "big")
        if packed[at + 4 : at + 8] not in (b"PLTE", b"tRNS"):
            parts.append(packed[at:end])
        at = end
    return b"".join(parts), scale
