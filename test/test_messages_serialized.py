"""EventPackets are read from their bytes as their class reads them, and broken ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.bags import typestore
from any2seg_ros.messages.kinds import EVENTS
from any2seg_ros.messages.serialized import SerializedPacket, view_packet
from any2seg_ros.types import InvalidMeasurement

TYPES = typestore()


def serialized(frame_id: str, encoding: str, events: bytes, little: bool = True) -> bytes:
    types = TYPES.types
    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=12, nanosec=34), frame_id=frame_id
    )
    packet = types[EVENTS](
        header=header, height=720, width=1280, seq=1 << 40, time_base=1 << 50,
        encoding=encoding, is_bigendian=True, events=np.frombuffer(events, np.uint8),
    )  # fmt: skip
    return bytes(TYPES.serialize_cdr(packet, EVENTS, little_endian=little))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=9), st.sampled_from(["evt3", "mono", ""]), st.binary(), st.booleans())
def test_a_packet_is_read_as_it_was_written(frame_id, encoding, events, little):
    frame_id = frame_id.replace("\0", "")
    packet = view_packet(serialized(frame_id, encoding, events, little))
    assert packet.header.stamp == (12, 34) and packet.header.frame_id == frame_id
    assert (packet.height, packet.width, packet.seq) == (720, 1280, 1 << 40)
    assert (packet.time_base, packet.encoding) == (1 << 50, encoding)
    assert packet.is_bigendian and bytes(packet.events) == events


def test_a_packet_that_is_cut_anywhere_is_refused():
    whole = serialized("event_camera", "evt3", bytes(range(20)))
    for length in range(len(whole)):
        with pytest.raises(InvalidMeasurement):
            view_packet(whole[:length])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_any_bytes_are_a_packet_or_refused(rest, known):
    try:
        packet = view_packet((b"\0\1\0\0" if known else b"") + rest)
    except InvalidMeasurement:
        return
    assert isinstance(packet, SerializedPacket) and len(packet.events) <= len(rest)


def test_another_way_to_serialize_is_named():
    with pytest.raises(InvalidMeasurement, match="plain CDR"):
        view_packet(b"\0\x07" + bytes(60))
