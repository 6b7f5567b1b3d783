"""Every packet is decoded, in order, in batches, whether a frame wants it or not."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_messages import MS, STAMP, header, packet

from any2seg_ros.runtime.event_stream import EventStream
from any2seg_ros.types import InvalidMeasurement


def test_events_are_the_same_whether_packets_are_wanted_one_by_one_or_together():
    messages = [packet(STAMP + k * MS) for k in range(30)]
    one, many = EventStream(), EventStream()
    singles = [one.add(message) for message in messages]
    for single in singles:
        one.events([single], 0, STAMP * 2)
    alone = one.events(singles, STAMP, STAMP + 20 * MS)
    together = many.events([many.add(message) for message in messages], STAMP, STAMP + 20 * MS)
    for column in "txyp":
        assert np.array_equal(getattr(alone, column), getattr(together, column))
    assert len(alone) == 20 * 20


def test_packets_that_no_frame_wants_are_decoded_before_those_that_one_wants():
    words = struct.pack("<3H", 0x8 << 12 | 1, 0x6 << 12 | 5, 7)
    event = struct.pack("<1H", 0x2 << 12 | 1 << 11 | 100)
    first, second = packet(encoding="evt3"), packet(STAMP + MS, encoding="evt3")
    first.events, second.events = array("B", words), array("B", event)
    stream = EventStream()
    stream.add(first)
    events = stream.events([stream.add(second)], 0, STAMP * 2)
    assert (events.x.tolist(), events.y.tolist()) == ([100], [7])


def test_a_broken_packet_does_not_take_the_good_ones_with_it():
    stream = EventStream()
    broken = packet(STAMP + MS)
    broken.events = broken.events[:-3]
    packets = [stream.add(m) for m in (packet(STAMP), broken, packet(STAMP + 2 * MS))]
    assert len(stream.events(packets, 0, STAMP * 2)) == 40
    assert stream.invalid == 1
    assert "truncated" in packets[1].reason


def test_a_slice_has_its_events_when_packets_beyond_it_were_decoded_with_them():
    stream = EventStream()
    packets = [stream.add(packet(STAMP + k * MS, 10)) for k in range(400)]
    begin, end = STAMP + 249 * MS, STAMP + 275 * MS
    assert len(stream.events(packets[250:276], begin, end)) == 26 * 10


def test_packets_that_nobody_wants_do_not_pile_up():
    stream = EventStream()
    packets = [stream.add(packet(STAMP + k * MS)) for k in range(1000)]
    assert sum(not p.decoded for p in packets) <= 300
    assert all(p.message is None for p in packets if p.decoded)


def array_of(stamp: int, count: int) -> SimpleNamespace:
    events = [SimpleNamespace(ts=header(stamp).stamp, x=1, y=1, polarity=True)] * count
    return SimpleNamespace(header=header(stamp), width=128, height=96, events=events)


@pytest.mark.parametrize("make", [lambda s: array_of(s, 5_000), lambda s: packet(s, 62_500)])
def test_what_nobody_wants_does_not_pile_up_where_it_is_heavy(make):
    stream = EventStream()
    waiting = []
    for k in range(20):
        waiting = [p for p in [*waiting, stream.add(make(STAMP + k * MS))] if not p.decoded]
        assert len(waiting) < 8
    assert not stream.invalid


def test_packets_that_waited_when_time_jumped_have_no_events_and_say_why():
    stream = EventStream()
    waited = stream.add(packet())
    stream.reset()
    with pytest.raises(InvalidMeasurement, match="lost in a jump of time"):
        stream.events([waited], 0, STAMP * 2)
    assert len(stream.events([stream.add(packet(STAMP + MS))], 0, STAMP * 2)) == 20
    assert not stream.invalid


def test_a_decoder_starts_anew_after_a_jump_of_time():
    row_and_time = packet(encoding="evt3")
    row_and_time.events = array("B", struct.pack("<3H", 0x8 << 12 | 1, 0x6 << 12 | 5, 7))
    event = packet(STAMP + MS, encoding="evt3")
    event.events = array("B", struct.pack("<H", 0x2 << 12 | 1 << 11 | 100))
    stream = EventStream()
    stream.events([stream.add(row_and_time)], 0, STAMP * 2)
    stream.reset()
    assert len(stream.events([stream.add(event)], 0, STAMP * 2)) == 0  # its row is not known


def test_where_no_packet_can_be_decoded_the_reason_of_the_last_is_given():
    stream = EventStream()
    packets = [stream.add(packet(encoding="morse")), stream.add(packet(encoding="smoke"))]
    with pytest.raises(InvalidMeasurement, match="smoke"):
        stream.events(packets, 0, STAMP * 2)
    assert stream.invalid == 2 and "smoke" in stream.reason


def test_events_of_another_sensor_size_are_not_mixed_with_the_last():
    stream = EventStream()
    small, large = packet(), packet(STAMP + MS)
    large.width, large.height = 256, 192
    first = stream.add(small)
    stream.events([first], 0, STAMP * 2)
    events = stream.events([first, stream.add(large)], 0, STAMP * 2)
    assert (events.width, events.height, len(events)) == (256, 192, 20)
