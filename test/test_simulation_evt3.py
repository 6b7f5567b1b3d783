"""What is encoded as EVT3 is what the vehicle's decoder reads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from any2seg_ros.messages.events import EventDecoder
from any2seg_ros.simulation import evt3
from any2seg_ros.types import Events

ZERO = 1_700_000_000 * 10**9
MS = 1_000_000


def some_events(count: int, seed: int, begin: int, end: int) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(begin + 1, end + 1, count))
    x, y = rng.integers(0, 320, count), rng.integers(0, 180, count)
    p = rng.random(count) < 0.5
    return Events(t, x.astype(np.uint16), y.astype(np.uint16), p, 320, 180)


def packet(data: bytes, stamp: int) -> SimpleNamespace:
    seconds, rest = divmod(stamp, 10**9)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=rest), frame_id="e")
    return SimpleNamespace(
        header=header, height=180, width=320, seq=1, time_base=0, encoding="evt3",
        is_bigendian=False, events=data,
    )  # fmt: skip


def rows(events: Events) -> set[tuple[int, int, int, bool]]:
    """Microseconds after the first event, x, y and polarity of every event."""
    time = events.t // 1000 - events.t[:1] // 1000
    columns = (time, events.x, events.y, events.p)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def test_events_survive_the_round_trip() -> None:
    decoder = EventDecoder()
    for k, count in enumerate((500, 0, 1, 4000)):
        begin, end = ZERO + k * 10 * MS, ZERO + (k + 1) * 10 * MS
        events = some_events(count, k, begin, end)
        found = decoder.decode(packet(evt3.encode(events, begin, ZERO), end))
        # The decoder maps the sensor's clock to the host's: distances of time are what stays.
        whole = Events(found.t - found.t[:1], found.x, found.y, found.p, 320, 180)
        assert rows(whole) == rows(events)


def test_dense_rows_become_vectors_and_stay_the_same() -> None:
    begin, end = ZERO, ZERO + 10 * MS
    x = np.arange(40, 200, dtype=np.uint16)
    events = Events(
        np.full(160, begin + 3 * MS), x, np.full(160, 7, np.uint16), np.ones(160, bool), 320, 180
    )
    data = evt3.encode(events, begin, ZERO)
    assert len(data) < 2 * 40
    found = EventDecoder().decode(packet(data, end))
    assert np.array_equal(np.sort(found.x), x)
    assert (found.y == 7).all() and found.p.all()


def test_time_goes_on_when_its_24_bits_loop() -> None:
    decoder = EventDecoder()
    loop = (1 << 24) * 1000
    times = []
    for begin in (ZERO + loop - 20 * MS, ZERO + loop - 10 * MS, ZERO + loop, ZERO + loop + 10 * MS):
        events = some_events(50, 1, begin, begin + 10 * MS)
        times.append(decoder.decode(packet(evt3.encode(events, begin, ZERO), begin + 10 * MS)).t)
    t = np.concatenate(times)
    assert (np.diff(t) >= 0).all()
    assert t[-1] - t[0] < 41 * MS


def test_a_coarse_clock_merges_events_of_one_tick() -> None:
    begin = ZERO
    t = begin + np.array([100_000, 300_000, 1_200_000])
    same = np.full(3, 5, np.uint16)
    events = Events(t, same, same, np.ones(3, bool), 320, 180)
    found = EventDecoder().decode(packet(evt3.encode(events, begin, ZERO, 1000), begin + 10 * MS))
    assert len(found) == 2
    assert found.t[1] - found.t[0] == 1_000_000
