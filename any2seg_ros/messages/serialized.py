"""event_camera_msgs/EventPacket as DDS carries it, read without its class: of a thousand a second,
making messages of them costs more than decoding their events."""

from __future__ import annotations

import struct
from typing import NamedTuple

from any2seg_ros.types import InvalidMeasurement

_ORIGIN = 4
"""Bytes before the message: the encapsulation (OMG DDSI-RTPS, 10.2.1.2)."""
_CDR = {b"\0\0": ">", b"\0\1": "<"}
"""Byte order by the encapsulation's first two bytes: plain CDR."""
_CUT = "event packet is truncated on the wire"


class Stamp(NamedTuple):
    """A builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Header(NamedTuple):
    """A std_msgs/Header."""

    stamp: Stamp
    frame_id: str


class SerializedPacket(NamedTuple):
    """An EventPacket; `events` are bytes of the serialized message."""

    header: Header
    height: int
    width: int
    seq: int
    time_base: int
    encoding: str
    is_bigendian: bool
    events: memoryview


def view_packet(cdr: bytes) -> SerializedPacket:
    """A serialized EventPacket; InvalidMeasurement for what is none."""
    order = _CDR.get(cdr[:2])
    if order is None:
        raise InvalidMeasurement("event packet is serialized in another way than plain CDR")
    try:
        sec, nanosec, length = struct.unpack_from(order + "iII", cdr, _ORIGIN)
        frame_id, at = _text(cdr, _ORIGIN + 12, length)
        height, width = struct.unpack_from(order + "II", cdr, _aligned(at, 4))
        at = _aligned(_aligned(at, 4) + 8, 8)
        seq, time_base, length = struct.unpack_from(order + "QQI", cdr, at)
        encoding, at = _text(cdr, at + 20, length)
        big = cdr[at] != 0
        at = _aligned(at + 1, 4)
        (count,) = struct.unpack_from(order + "I", cdr, at)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise InvalidMeasurement(_CUT) from error
    events = memoryview(cdr)[at + 4 : at + 4 + count]
    if len(events) != count:
        raise InvalidMeasurement(_CUT)
    header = Header(Stamp(sec, nanosec), frame_id)
    return SerializedPacket(header, height, width, seq, time_base, encoding, big, events)


def _text(cdr: bytes, at: int, length: int) -> tuple[str, int]:
    """A string of `length` bytes, its end among them, and where it ends."""
    return cdr[at : at + max(0, length - 1)].decode(), at + length


def _aligned(at: int, size: int) -> int:
    return at + (_ORIGIN - at) % size
