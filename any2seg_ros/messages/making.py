"""Messages that are made in more than one place, with whatever classes there are for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from any2seg_ros.messages.cameras import info_fields
from any2seg_ros.messages.kinds import CAMERA_INFO, HEADER, POINT_FIELD, REGION, TIME
from any2seg_ros.types import Camera

Make = Callable[..., Any]
"""Makes a message: called with its type and, by name, all of its fields."""


def time_message(make: Make, stamp: int) -> Any:
    """A builtin_interfaces/Time of ns; what is below zero becomes zero."""
    seconds, nanoseconds = divmod(max(0, int(stamp)), 1_000_000_000)
    return make(TIME, sec=seconds, nanosec=nanoseconds)


def header_message(make: Make, stamp: int, frame_id: str) -> Any:
    """A std_msgs/Header; the stamp is in ns."""
    return make(HEADER, stamp=time_message(make, stamp), frame_id=frame_id)


def point_fields(make: Make, names: Iterable[str]) -> list[Any]:
    """sensor_msgs/PointFields of float32 numbers, one after the other."""
    return [
        make(POINT_FIELD, name=name, offset=4 * place, datatype=7, count=1)
        for place, name in enumerate(names)
    ]


def camera_info_message(make: Make, header: Any, camera: Camera) -> Any:
    """A sensor_msgs/CameraInfo of the whole, unbinned image."""
    whole = make(REGION, x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    fields = info_fields(camera)
    return make(CAMERA_INFO, header=header, binning_x=0, binning_y=0, roi=whole, **fields)
