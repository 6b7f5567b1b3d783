"""The times of a cloud's points, as drivers tell them."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.messages import decode_cloud, decode_sweep
from any2seg_ros.messages.point_times import AUTO, NONE, point_times

STAMP = 1_700_000_000_123_456_789
SWEEP = np.linspace(0.0, 0.0999, 1000)
"""s from the begin of a sweep of 10 Hz."""
DRIVERS = {
    "Ouster, ns after the stamp": ("t", (SWEEP * 1e9).astype("<u4"), SWEEP),
    "Velodyne, s after it": ("time", SWEEP.astype("<f4"), SWEEP),
    "Velodyne, s before it": ("time", (SWEEP - 0.1).astype("<f4"), SWEEP - 0.1),
    "Hesai and RoboSense, s since 1970": ("timestamp", STAMP * 1e-9 + SWEEP, SWEEP),
    "the same, the stamp at its end": ("timestamp", STAMP * 1e-9 + SWEEP - 0.1, SWEEP - 0.1),
    "Livox, ns since 1970": ("timestamp", STAMP + SWEEP * 1e9, SWEEP),
    "Livox, ns after the stamp": ("offset_time", (SWEEP * 1e9).astype("<u4"), SWEEP),
    "Autoware, ns after the stamp": ("time_stamp", (SWEEP * 1e9).astype("<u4"), SWEEP),
    "us after the stamp": ("t", (SWEEP * 1e6).astype("<u4"), SWEEP),
    "us, before and after it": ("time_offset", ((SWEEP - 0.05) * 1e6).astype("<i4"), SWEEP - 0.05),
    "ms after the stamp": ("time", (SWEEP * 1e3).astype("<f4"), SWEEP),
    "us as numbers with a fraction": ("time", (SWEEP * 1e6).astype("<f4"), SWEEP),
    "a flash of 0.8 ms, in s": ("time", (SWEEP * 8e-3).astype("<f4"), SWEEP * 8e-3),
    "big endian": ("t", (SWEEP * 1e9).astype(">u4"), SWEEP),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_units_and_zeros_are_told_by_the_numbers(driver) -> None:
    name, values, expected = DRIVERS[driver]
    found = point_times(values, name, STAMP)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_simulated_time_that_has_just_begun_is_no_date() -> None:
    early = 500_000_000
    np.testing.assert_allclose(point_times(SWEEP.astype("<f4"), "time", early), SWEEP, atol=1e-6)
    later = 5_000_000_000
    np.testing.assert_allclose(point_times(5 + SWEEP, "timestamp", later), SWEEP, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (1234.5 + SWEEP, "away from its stamp by 1234.6 s"),
        (np.linspace(0, 1, 1000), "away from its stamp by 1.0 s"),
        ((STAMP * 1e-9 + SWEEP).astype(np.float32), "too coarse"),
        (np.append(SWEEP, np.nan), "not finite"),
        (np.append(SWEEP, np.inf).astype(np.float32), "not finite"),
    ],
    ids=["clock of its own", "share of the turn", "float32", "nan", "inf"],
)
def test_times_that_are_none_are_named(values, why) -> None:
    with pytest.raises(ValueError, match=why):
        point_times(values, "timestamp", STAMP)


def cloud(name: str, values: np.ndarray) -> SimpleNamespace:
    kinds = {"<u4": 6, "<f4": 7, "<f8": 8}
    layout = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), (name, values.dtype)])
    points = np.zeros(len(values), layout)
    points["x"], points["y"], points["z"] = np.arange(len(values)) + 1, 2.0, 3.0
    points[name] = values
    points["x"][1], points["x"][3] = np.nan, 0.0
    points["y"][3] = points["z"][3] = 0.0
    datatypes = (7, 7, 7, kinds[values.dtype.str])
    fields = [
        SimpleNamespace(name=n, offset=layout.fields[n][1], datatype=kind, count=1)
        for n, kind in zip(layout.names, datatypes, strict=True)
    ]
    return SimpleNamespace(
        height=1, width=len(values), fields=fields, is_bigendian=False,
        point_step=layout.itemsize, row_step=layout.itemsize * len(values),
        data=array("B", points.tobytes()),
    )  # fmt: skip


def test_times_go_with_their_points() -> None:
    msg = cloud("t", (np.arange(6) * 10_000_000).astype("<u4"))
    found = decode_sweep(msg, None, AUTO, STAMP)
    np.testing.assert_array_equal(found.points[:, 0], [1, 3, 5, 6])
    np.testing.assert_allclose(found.times, [0.0, 0.02, 0.04, 0.05], atol=1e-6)
    np.testing.assert_array_equal(decode_cloud(msg), found.points)


def test_a_field_is_chosen_by_its_name_or_not_at_all() -> None:
    msg = cloud("laser_time", (np.arange(6) * 0.01).astype("<f4"))
    assert decode_sweep(msg, None, AUTO, STAMP).times is None
    assert decode_sweep(msg, None, "laser_time", STAMP).times is not None
    timed = cloud("time", (np.arange(6) * 0.01).astype("<f4"))
    assert decode_sweep(timed, None, NONE, STAMP).times is None


def test_a_cloud_is_used_although_its_times_are_none() -> None:
    found = decode_sweep(cloud("timestamp", 1234.5 + np.arange(6) * 0.01), None, AUTO, STAMP)
    assert len(found.points) == 4 and found.times is None
    assert "'timestamp' (lidar.time_field) tells of times away" in found.doubt
