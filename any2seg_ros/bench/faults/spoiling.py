"""What goes wrong with a sensor's messages: functions of a message that give those in its place."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import serialize_message

from any2seg_ros.bench.faults.vehicle import Alter
from any2seg_ros.messages import as_bytes, decode_cloud, from_array, stamp_ns
from any2seg_ros.messages.kinds import HEADER, ros_message
from any2seg_ros.messages.making import point_fields, time_message

SECOND = 1_000_000_000
DEPTH_HEADER = 12
"""Bytes before the PNG of compressedDepth: an int32 and two float32, as codec.cpp of
compressed_depth_image_transport writes them."""


def drop(message: Any) -> list[Any]:
    """Nothing arrives."""
    return []


def twice(message: Any) -> list[Any]:
    """Each message arrives two times."""
    return [message, message]


def shifted(seconds: float) -> Alter:
    """Stamps of a clock that differs by so much."""
    return _stamped(lambda stamp, n: stamp + round(seconds * SECOND))


def drifting(per_message: float) -> Alter:
    """A clock that runs away by so many seconds with each message."""
    return _stamped(lambda stamp, n: stamp + round(n * per_message * SECOND))


def jitter(seconds: float) -> Alter:
    """Stamps that are off by up to so much, to both sides."""
    random = np.random.default_rng(0)
    return _stamped(lambda stamp, n: stamp + round(random.uniform(-seconds, seconds) * SECOND))


def zero_stamp(message: Any) -> list[Any]:
    """The driver sets no stamp."""
    message.header.stamp = time_message(ros_message, 0)
    return [message]


def swapped() -> Alter:
    """Messages arrive in pairs, the later one first."""
    kept: list[Any] = []

    def alter(message: Any) -> list[Any]:
        kept.append(message)
        if len(kept) < 2:
            return []
        pair = kept[::-1]
        kept.clear()
        return pair

    return alter


def late(seconds: float) -> Alter:
    """Each message arrives with the first one that is stamped so much later."""
    kept: deque[Any] = deque()

    def alter(message: Any) -> Iterator[Any]:
        kept.append(message)
        due = stamp_ns(message.header.stamp) - round(seconds * SECOND)
        while stamp_ns(kept[0].header.stamp) <= due:
            yield kept.popleft()

    return alter


def frozen() -> Alter:
    """The first message again and again, with new stamps."""
    first: list[Any] = []

    def alter(message: Any) -> list[Any]:
        if not first:
            first.append(message)
        first[0].header = message.header
        return first

    return alter


def named(frame_id: str, every: int = 1) -> Alter:
    """One in `every` messages has another frame_id."""
    numbers = count()

    def alter(message: Any) -> list[Any]:
        if next(numbers) % every == 0:
            message.header.frame_id = frame_id
        return [message]

    return alter


def truncated(message: Any) -> list[Any]:
    """Half of the data is lost."""
    return _with_data(message, lambda data: data[: len(data) // 2])


def empty(message: Any) -> list[Any]:
    """No data."""
    return _with_data(message, lambda data: data[:0])


def garbage(message: Any) -> list[Any]:
    """Random bytes instead of the data."""
    random = np.random.default_rng(0)
    return _with_data(message, lambda data: random.integers(0, 256, len(data), np.uint8))


def undecodable(message: Any) -> list[Any]:
    """Bytes of which DDS cannot make a message: cut off within a length that they announce."""
    cdr = serialize_message(message)
    return [cdr[: max(16, len(cdr) // 3)]]


def picture(change: Callable[[np.ndarray], np.ndarray], kind: str = ".jpg") -> Alter:
    """A changed camera image: uint8 BGR (h, w, 3) to any that OpenCV can encode as `kind`."""

    def alter(message: Any) -> list[Any]:
        pixels: Any = cv2.imdecode(as_bytes(message.data), cv2.IMREAD_COLOR)
        data = cv2.imencode(kind, change(pixels))[1]
        return _with_data(message, lambda old: data.reshape(-1))

    return alter


def depth(change: Callable[[np.ndarray], np.ndarray]) -> Alter:
    """A changed depth image: uint16 (h, w) in mm."""

    def alter(message: Any) -> list[Any]:
        data = as_bytes(message.data)
        pixels: Any = cv2.imdecode(data[DEPTH_HEADER:], cv2.IMREAD_UNCHANGED)
        png = cv2.imencode(".png", change(pixels))[1].reshape(-1)
        return _with_data(message, lambda old: np.concatenate([old[:DEPTH_HEADER], png]))

    return alter


def points(change: Callable[[np.ndarray], np.ndarray]) -> Alter:
    """A changed cloud: float32 (n, 4) of x, y, z and intensity."""

    def alter(message: Any) -> list[Any]:
        values = np.ascontiguousarray(change(decode_cloud(message).copy()), np.float32)
        message.fields = point_fields(ros_message, ("x", "y", "z", "intensity"))
        message.height, message.width = 1, len(values)
        message.point_step, message.row_step = 16, 16 * len(values)
        message.data = from_array(values)
        return [message]

    return alter


def filled(value: float, share: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """Of an array, one in which this share of the rows or pixels has the value."""
    random = np.random.default_rng(0)

    def change(values: np.ndarray) -> np.ndarray:
        values[random.random(values.shape[0]) < share] = value
        return values

    return change


def noise(values: np.ndarray) -> np.ndarray:
    """Random numbers over the whole range of the type, in place of all values."""
    random = np.random.default_rng()
    if values.dtype.kind == "f":
        return random.uniform(-50, 50, values.shape).astype(values.dtype)
    return random.integers(0, np.iinfo(values.dtype).max, values.shape, values.dtype)


def setting(**fields: Any) -> Alter:
    """Other values of some fields."""

    def alter(message: Any) -> list[Any]:
        for name, value in fields.items():
            setattr(message, name, value)
        return [message]

    return alter


def bomb(message: Any) -> list[Any]:
    """A PNG of some bytes with a chunk that claims two gigabytes."""
    head = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR"
    head += (64).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00" + bytes(4)
    data = np.frombuffer(head + (0x7FFFFFF0).to_bytes(4, "big") + b"IDAT" + bytes(40), np.uint8)
    return _with_data(message, lambda old: data)


def giant(size: int) -> Alter:
    """A message of so many bytes, the old ones repeated."""
    return lambda message: _with_data(message, lambda data: np.resize(data, size))


def calibration(every: int = 1, **fields: Any) -> Alter:
    """One in `every` camera_infos has other values: numbers scale k and p, others are set."""
    numbers = count()
    scale = float(fields.pop("focal", 1.0))

    def alter(info: Any) -> list[Any]:
        if next(numbers) % every:
            return [info]
        for name in ("k", "p"):
            values = np.asarray(getattr(info, name), float).copy()
            values[[0, 4 if name == "k" else 5]] *= scale
            setattr(info, name, values)
        for name, value in fields.items():
            setattr(info, name, value)
        return [info]

    return alter


def of_frame(frame_id: str) -> Alter:
    """A camera_info of another camera's frame."""

    def alter(info: Any) -> list[Any]:
        info.header = ros_message(HEADER, stamp=info.header.stamp, frame_id=frame_id)
        return [info]

    return alter


def not_numbers(info: Any) -> list[Any]:
    """A camera_info of NaN."""
    info.k = np.full(9, math.nan)
    return [info]


def _stamped(change: Callable[[int, int], int]) -> Alter:
    """`change` gives a stamp in ns of the message's and of its number."""
    numbers = count()

    def alter(message: Any) -> list[Any]:
        stamp = max(0, change(stamp_ns(message.header.stamp), next(numbers)))
        message.header.stamp = time_message(ros_message, stamp)
        return [message]

    return alter


def _with_data(message: Any, change: Callable[[np.ndarray], np.ndarray]) -> list[Any]:
    name = "events" if hasattr(message, "events") else "data"
    setattr(message, name, from_array(change(as_bytes(getattr(message, name)))))
    return [message]
