"""Every packet is decoded, in order, in batches, whether a frame wants it or not."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from sensor_messages import MS, STAMP, header, packet, rgb
from test_runtime_intake import Bench

from any2seg_ros.runtime import event_stream
from any2seg_ros.runtime.event_stream import EventLimits, EventStream
from any2seg_ros.types import Availability, InvalidMeasurement, Modality

RGB, DEPTH, LIDAR, EVENT = Modality


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


LIMITS = EventLimits(maximum_packet=0.5, maximum_bandwidth=10.0)


def heavy(stamp: int, size: int) -> SimpleNamespace:
    """An evt3 packet of many bytes, which would be as many vectors of twelve events."""
    made = packet(stamp, encoding="evt3")
    made.events = array("B", bytes(size))
    return made


@pytest.mark.parametrize("message", [heavy(STAMP, 40_000_000), array_of(STAMP, 200_000)])
def test_a_packet_that_is_too_large_is_refused_and_nothing_of_it_is_kept(message) -> None:
    bench = Bench(**{"event.registered": True})
    assert bench.feed(EVENT, message, 1) == []
    assert "event packet is too large" in bench.reason and "event.maximum_packet" in bench.reason
    assert not bench.preparation.stream._waiting


@pytest.mark.parametrize(
    "make", [lambda stamp: heavy(stamp, 100_000), lambda stamp: array_of(stamp, 5_000)]
)
def test_of_a_storm_all_is_refused_the_camera_goes_on_and_soon_after_events_are_used(make) -> None:
    bench = Bench(**{"event.registered": True})
    taken, frames = [], []
    for k in range(1000):  # 100 MB/s for a second
        bench.now = STAMP + k * MS
        before = len(bench.refused)
        if k % 100 == 50:
            frames += bench.feed(RGB, rgb(bench.now), k * MS)
        bench.feed(EVENT, make(bench.now), k * MS)
        taken.append(len(bench.refused) == before)
    assert all(taken[:30]) and not any(taken[50:])
    assert "event storm" in bench.reason and "event.maximum_bandwidth" in bench.reason
    frames += bench.intake.flush()
    assert sum(RGB in frame.measurements for frame in frames) == 10
    assert frames[-1].availability[EVENT] == Availability.INVALID
    assert "event storm" in frames[-1].reasons[EVENT]
    before = len(bench.refused)
    bench.now = STAMP + 1200 * MS
    bench.feed(EVENT, packet(bench.now), 1200 * MS)
    assert len(bench.refused) == before


def test_a_backlog_that_comes_at_once_is_dropped_and_what_comes_after_it_is_taken() -> None:
    stream, refused = EventStream(LIMITS), 0
    for k in range(300):
        try:
            stream.add(heavy(STAMP + k * MS, 10_000), 5_000 * MS)
        except InvalidMeasurement:
            refused += 1
    assert 180 < refused < 220
    assert stream.add(packet(STAMP), 5_200 * MS)


def test_a_light_that_is_switched_on_is_no_storm() -> None:
    stream = EventStream(LIMITS)
    for k in range(20):  # 40 MB/s for 20 ms, after 5 MB/s
        stream.add(heavy(STAMP + k * MS, 40_000), k * MS)


def test_what_is_decoded_behind_a_gap_knows_nothing_of_before_it() -> None:
    stream = EventStream(LIMITS)
    high, low, line = 0x8 << 12 | 1, 0x6 << 12 | 5, 7
    event = 0x2 << 12 | 1 << 11 | 100

    def words(stamp: int, *given: int) -> SimpleNamespace:
        made = packet(stamp, encoding="evt3")
        made.events = array("B", struct.pack(f"<{len(given)}H", *given))
        return made

    first = stream.add(words(STAMP, high, low, line, event), 0)
    with pytest.raises(InvalidMeasurement):
        stream.add(heavy(STAMP + MS, 600_000), MS)
    lost = stream.add(words(STAMP + 2 * MS, event), 2 * MS)
    found = stream.add(words(STAMP + 3 * MS, high, low, line, event), 3 * MS)
    assert len(stream.events([first], 0, 2 * STAMP)) == 1
    assert len(stream.events([lost, found], 0, 2 * STAMP)) == 1


def test_of_events_that_no_frame_takes_away_only_so_many_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(event_stream, "_KEPT", 1000)
    stream = EventStream()
    packets = [stream.add(packet(STAMP + k * MS)) for k in range(200)]
    for one in packets:
        stream.events([one], 0, 2 * STAMP)
    assert sum(len(one.events) for one in packets if one.events is not None) <= 1000
    with pytest.raises(InvalidMeasurement, match="more events than are kept"):
        stream.events(packets[:1], 0, 2 * STAMP)
    assert len(stream.events(packets[-10:], 0, 2 * STAMP)) == 200


def test_vectors_of_few_bytes_and_many_events_are_told_as_a_storm() -> None:
    stream = EventStream(EventLimits(maximum_packet=0.5, maximum_bandwidth=4.0))
    words = [0x8 << 12 | 1, 0x6 << 12 | 5, 7] + [0x3000, 0x4FFF, 0x4FFF] * 8000
    data = array("B", struct.pack(f"<{len(words)}H", *words))
    with pytest.raises(InvalidMeasurement, match="event storm"):
        for k in range(20):  # 2.4 MB/s, and 9.6 million events a second
            made = packet(STAMP + 20 * k * MS, encoding="evt3")
            made.events = data
            stream.events([stream.add(made, 20 * k * MS)], 0, 2 * STAMP)


@pytest.mark.parametrize("encoding", ["mono", "evt3"])
def test_events_have_the_same_times_however_packets_are_decoded_together(encoding):
    """One of them is broken, and stamps come sooner and later after their events."""
    sizes = ([30], [1] * 30, [7, 9, 14], [15, 15])
    made = []
    for parts in sizes:
        stream, packets = EventStream(), []
        for size in parts:
            for k in range(len(packets), len(packets) + size):
                packets.append(stream.add(_late(k, encoding)))
            stream.decode_ahead()
        assert stream.invalid == 1 and stream.waiting == 0
        made.append(stream.events(packets, 0, STAMP * 2))
    assert len(made[0]) >= 28
    for other in made[1:]:
        for column in "txyp":
            assert np.array_equal(getattr(made[0], column), getattr(other, column))


def _late(k: int, encoding: str):
    """Packet number k: its events are at k ms of the sensor, its stamp is up to 0.2 ms later."""
    late = (k * 37 % 11) * MS // 50
    one = packet(STAMP + k * MS + late, encoding=encoding)
    one.time_base = k * MS
    if encoding == "evt3":
        low = 0x6000 | (k * 1000 & 0xFFF)
        words = [0x8000 | k * 1000 >> 12, low, 5, 0x2000 | k]
        one.events = array("B", struct.pack("<4H", *words))
    if k == 12:
        one.events = one.events[:-3]
    return one
