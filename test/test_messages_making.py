"""Messages that are made in more than one place: times, headers, camera_info."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from any2seg_ros.messages import camera_from_info
from any2seg_ros.messages.kinds import CAMERA_INFO, HEADER
from any2seg_ros.messages.making import (
    camera_info_message,
    header_message,
    point_fields,
    time_message,
)
from any2seg_ros.types import Camera


def make(kind: str, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, **fields)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [(0, (0, 0)), (-5, (0, 0)), (1_500_000_000, (1, 500_000_000)), (999_999_999, (0, 999_999_999))],
)
def test_times_are_seconds_and_nanoseconds_and_never_negative(
    stamp: int, expected: tuple[int, int]
) -> None:
    time = time_message(make, stamp)
    assert (time.sec, time.nanosec) == expected


def test_a_header_has_stamp_and_frame() -> None:
    header = header_message(make, 2_000_000_001, "lidar")
    assert (header.kind, header.frame_id, header.stamp.nanosec) == (HEADER, "lidar", 1)


def test_fields_of_points_lie_behind_each_other() -> None:
    fields = point_fields(make, "xyz")
    assert [(f.name, f.offset, f.datatype, f.count) for f in fields] == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial", "equidistant"])
def test_a_camera_comes_back_from_its_camera_info(model: str) -> None:
    count = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}[model]
    distortion = tuple(0.001 * (k + 1) for k in range(count))
    camera = Camera(640, 480, 500.0, 501.0, 319.0, 239.0, distortion, model)
    info = camera_info_message(make, header_message(make, 1, "camera"), camera)
    assert info.kind == CAMERA_INFO
    assert camera_from_info(info) == camera
