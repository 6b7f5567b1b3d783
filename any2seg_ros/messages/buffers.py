"""The bytes of a message, whatever they came in."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from any2seg_ros.types import InvalidMeasurement


def as_bytes(data: Any) -> np.ndarray:
    """`data` as uint8 (n,) without a copy: array('B'), bytes, memoryview or ndarray.

    Read-only where the source is. Lists of numbers, as hand-made messages have them, are copied.
    """
    if isinstance(data, np.ndarray):
        return data.reshape(-1).view(np.uint8)
    if isinstance(data, (array, bytes, bytearray, memoryview)):
        return np.frombuffer(data, np.uint8)
    try:
        return np.frombuffer(bytes(data), np.uint8)
    except (TypeError, ValueError) as error:
        raise InvalidMeasurement("message data are not bytes") from error


def from_array(values: np.ndarray) -> array:
    """`values` as the array('B') that rclpy takes for uint8[] without looking at each element."""
    filled = array("B")
    filled.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return filled


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time (ROS 2: sec, nanosec; ROS 1: secs, nsecs) in nanoseconds."""
    if hasattr(stamp, "nanosec"):
        return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
    return int(stamp.secs) * 1_000_000_000 + int(stamp.nsecs)
