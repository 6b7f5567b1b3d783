"""Changes bytes, messages and text so that they are nearly right; all chance is in a generator."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from any2seg_ros.messages import as_bytes, from_array

Rng = np.random.Generator

_BITS = {
    "is_bigendian": 1, "datatype": 8, "is_dense": 1, "do_rectify": 1, "time_base": 64, "seq": 64,
    "sec": 31, "polarity": 1, "x": 16, "y": 16, "pts": 63, "flags": 8,
}  # fmt: skip
"""Bits of a field's whole numbers where they are not 32."""
_WORDS = (
    "", "rgb8", "bgra8", "mono8", "mono16", "16UC1", "32FC1", "64FC3", "8UC3", "bayer_grbg8",
    "yuv422_yuy2", "nv12", "jpeg", "png", "tiff", "webp", "16UC1; compressedDepth rvl",
    "32FC1; compressedDepth png", "bayer_rggb8; jpeg compressed bgr8", "evt3", "evt2", "evt21",
    "mono", "libcaer", "libcaer_cmp", "h264", "h265", "plumb_bob", "equidistant",
    "rational_polynomial", "x", "z", "intensity", "ring", "t", "camera", "\x00", "\x1b[2J" * 40,
    "n" * 5000, "\ud83d", "/", "é",
)  # fmt: skip
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, 1e30, math.nan, math.inf, -math.inf, 1e7, 0.5)
_MAGIC = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated_bytes(data: bytes, rng: Rng) -> bytes:
    """One to eight changes: bits, bytes, whole numbers, parts cut, repeated or moved."""
    out = bytearray(data)
    for _ in range(int(rng.geometric(0.4)) % 8 + 1):
        _CHANGES[int(rng.integers(len(_CHANGES)))](out, rng)
    return bytes(out)


def mutated_message(message: Any, rng: Rng) -> Any:
    """A copy of a message with one to four fields changed, each within its type."""
    copied = copy.deepcopy(message)
    places = list(_places(copied))
    for _ in range(int(rng.geometric(0.5)) % 4 + 1):
        owner, name = places[int(rng.integers(len(places)))]
        value = owner[name] if isinstance(owner, list) else getattr(owner, name)
        changed = _changed(str(name), value, rng)
        if isinstance(owner, list):
            owner[name] = changed
        else:
            setattr(owner, name, changed)
    return copied


def _places(message: Any) -> Any:
    """Every field of a message: owner and name; of long lists the first elements."""
    for name, value in vars(message).items():
        if isinstance(value, SimpleNamespace):
            yield from _places(value)
        else:
            yield message, name
            if isinstance(value, list) and value and isinstance(value[0], SimpleNamespace):
                for one in value[:4]:
                    yield from _places(one)


def _changed(name: str, value: Any, rng: Rng) -> Any:
    if isinstance(value, bool):
        return bool(rng.integers(2))
    if isinstance(value, int):
        return _whole(value, _BITS.get(name, 32), rng)
    if isinstance(value, float):
        return float(rng.choice(_NUMBERS))
    if isinstance(value, str):
        return _WORDS[int(rng.integers(len(_WORDS)))] if rng.random() < 0.7 else value + "8"
    if isinstance(value, list):
        return _list(value, rng)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        numbers = value.copy() if len(value) else np.zeros(4)
        numbers[rng.integers(numbers.size)] = rng.choice(_NUMBERS)
        return numbers if rng.random() < 0.8 else numbers[: int(rng.integers(numbers.size))]
    return from_array(as_bytes(mutated_bytes(as_bytes(value).tobytes(), rng)))


def _whole(value: int, bits: int, rng: Rng) -> int:
    most = (1 << bits) - 1
    nearby = (0, 1, 2, 7, value - 1, value + 1, value * 2, value // 2, most, most // 2, most - 1)
    return min(max(0, int(nearby[int(rng.integers(len(nearby)))])), most)


def _list(value: list[Any], rng: Rng) -> list[Any]:
    if not value:
        return []
    at = int(rng.integers(len(value)))
    choice = int(rng.integers(4))
    if choice == 0:
        return value[:at] + value[at + 1 :]
    if choice == 1:
        return value[:at] + [copy.deepcopy(value[at])] + value[at:]
    return value[::-1] if choice == 2 else value[:at]


def _flip(out: bytearray, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 9))):
        if out:
            out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))


def _overwrite(out: bytearray, rng: Rng) -> None:
    if out:
        at = int(rng.integers(len(out)))
        many = min(int(rng.integers(1, 16)), len(out) - at)
        out[at : at + many] = rng.bytes(many)


def _number(out: bytearray, rng: Rng) -> None:
    size = int(rng.choice((1, 2, 4, 8)))
    if len(out) < size:
        return
    # Early bytes are headers, where numbers mean sizes.
    most = len(out) - size + 1
    at = int(rng.integers(min(most, 64) if rng.random() < 0.5 else most))
    value = _MAGIC[int(rng.integers(len(_MAGIC)))] & ((1 << 8 * size) - 1)
    out[at : at + size] = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")


def _cut(out: bytearray, rng: Rng) -> None:
    if out:
        del out[int(rng.integers(len(out))) :]


def _remove(out: bytearray, rng: Rng) -> None:
    if out:
        at = int(rng.integers(len(out)))
        del out[at : at + int(rng.integers(1, 64))]


def _repeat(out: bytearray, rng: Rng) -> None:
    if 0 < len(out) < 1_000_000:
        at = int(rng.integers(len(out)))
        part = bytes(out[at : at + int(rng.integers(1, 512))])
        out[at:at] = part * int(rng.integers(1, 17))


def _move(out: bytearray, rng: Rng) -> None:
    if len(out) > 1:
        a, b = sorted(int(k) for k in rng.integers(0, len(out), 2))
        many = min(int(rng.integers(1, 64)), b - a)
        part = bytes(out[a : a + many])
        out[b : b + many] = part


def _insert(out: bytearray, rng: Rng) -> None:
    at = int(rng.integers(len(out) + 1))
    out[at:at] = rng.bytes(int(rng.integers(1, 32)))


_CHANGES = (_flip, _overwrite, _number, _number, _cut, _remove, _repeat, _move, _insert)
