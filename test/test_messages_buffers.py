"""Bytes and stamps of messages."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.messages import as_bytes, from_array, stamp_ns
from any2seg_ros.types import InvalidMeasurement

KINDS = [bytes, bytearray, list, lambda b: array("B", b), lambda b: np.frombuffer(b, np.uint8)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"\x00\x01\xff"])
def test_bytes_are_the_same_whatever_they_come_in(kind, data):
    assert bytes(as_bytes(kind(data))) == data


def test_bytes_are_not_copied():
    data = array("B", b"abc")
    view = as_bytes(data)
    data[0] = 0
    assert view[0] == 0


@pytest.mark.parametrize("data", [None, "text", 3.5, [300]])
def test_what_are_no_bytes_is_unusable(data):
    with pytest.raises(InvalidMeasurement, match="not bytes"):
        as_bytes(data)


@pytest.mark.parametrize(
    "values",
    [np.zeros((0, 4), np.float32), np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)[:, ::2]],
)
def test_an_array_is_written_as_its_bytes_in_order(values):
    filled = from_array(values)
    assert isinstance(filled, array) and filled.typecode == "B"
    assert filled.tobytes() == values.tobytes()


def test_stamps_of_ros_1_and_ros_2_are_nanoseconds():
    assert stamp_ns(SimpleNamespace(sec=3, nanosec=5)) == 3_000_000_005
    assert stamp_ns(SimpleNamespace(secs=3, nsecs=5)) == 3_000_000_005
