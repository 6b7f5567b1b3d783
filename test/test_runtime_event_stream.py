"""The stream of events under storms: what is refused before it is decoded, and how it goes on."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import pytest
from test_runtime_intake import Bench
from test_runtime_pipeline import MS, STAMP, array_of, packet, rgb

from any2seg_ros.runtime import event_stream
from any2seg_ros.runtime.event_stream import EventLimits, EventStream
from any2seg_ros.types import Availability, InvalidMeasurement, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
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
