"""The synchronizer's rules over simulated clocks: jitter, drift, drops, bursts and reordering."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from any2seg_ros.runtime.synchronizer import Synchronizer, SynchronizerConfig, Timing
from any2seg_ros.types import Availability, Frame, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
MS = 1_000_000
START = 1_000 * 1_000_000_000
OK, HELD, MISSING = Availability.OK, Availability.HELD, Availability.MISSING


@dataclass(frozen=True)
class Sensor:
    """A sensor on a simulated clock; times in ms, alive from `begin` to `end`.

    ahead: of the others' clocks. drift: of its own clock, as a share.
    """

    modality: Modality
    interval: float = 100.0
    phase: float = 0.0
    latency: float = 5.0
    jitter: float = 0.0
    drift: float = 0.0
    drop: float = 0.0
    burst: float = 0.0
    begin: float = 0.0
    end: float = 3000.0
    ahead: float = 0.0

    def messages(self, chance: random.Random) -> list[tuple[int, Modality, int]]:
        """(arrival, modality, stamp) in ns; a burst keeps messages back and gives them at once."""
        rows, at, held_until = [], self.begin + self.phase, 0.0
        while at < self.end:
            stamp = START + int((at * (1 + self.drift) + self.ahead) * MS)
            arrival = at + self.latency + chance.uniform(0, self.jitter)
            if chance.random() < self.burst:
                held_until = arrival + 2.5 * self.interval
            if chance.random() >= self.drop:
                rows.append((START + int(max(arrival, held_until) * MS), self.modality, stamp))
            at += self.interval
        return rows


def arrivals(sensors: list[Sensor], seed: int = 0) -> list[tuple[int, Modality, int]]:
    chance = random.Random(seed)
    return sorted(row for sensor in sensors for row in sensor.messages(chance))


def drive(
    config: SynchronizerConfig, rows: list[tuple[int, Modality, int]]
) -> list[tuple[int, Frame]]:
    """(leaving time, Frame) live; a message is its own (modality, stamp)."""
    synchronizer = Synchronizer(config)
    frames = []
    for now, modality, stamp in rows:
        while (due := synchronizer.next_deadline) is not None and due <= now:
            frames += [(due, frame) for frame in synchronizer.poll(due)]
        frames += [
            (now, frame) for frame in synchronizer.add(modality, stamp, (modality, stamp), now)
        ]
    while (due := synchronizer.next_deadline) is not None:
        frames += [(due, frame) for frame in synchronizer.poll(due)]
    return frames


def recorded(
    config: SynchronizerConfig, rows: list[tuple[int, Modality, int]]
) -> list[tuple[int, Frame]]:
    """(arrival of what let it go, Frame) in replay, which does not look at arrivals."""
    synchronizer = Synchronizer(replace(config, live=False))
    frames = []
    for now, modality, stamp in rows:
        frames += [
            (now, frame) for frame in synchronizer.add(modality, stamp, (modality, stamp), 0)
        ]
    return [*frames, *((rows[-1][0], frame) for frame in synchronizer.flush())]


def four(end: dict[Modality, float] | None = None, **kwargs: float) -> list[Sensor]:
    ends = end or {}
    sensors = [Sensor(m, end=ends.get(m, 3000.0), **kwargs) for m in (RGB, DEPTH, LIDAR)]
    return [*sensors, Sensor(EVENT, 5.0, latency=1.0, end=ends.get(EVENT, 3000.0))]


def without_window(config: SynchronizerConfig, **timing: float) -> SynchronizerConfig:
    table = {m: replace(t, **timing) for m, t in config.timing.items()}
    return replace(config, timing=table)


def stamps_of(frames: list[tuple[int, Frame]]) -> list[int]:
    return [frame.stamp for _, frame in frames]


sensor_worlds = st.builds(
    lambda sensors: [s for s in sensors if s is not None],
    st.tuples(
        *(
            st.one_of(
                st.none(),
                st.builds(
                    Sensor,
                    st.just(modality),
                    interval=st.sampled_from((33.0, 100.0, 200.0) if modality != EVENT else (7.0,)),
                    phase=st.floats(0, 90),
                    latency=st.floats(0, 80),
                    jitter=st.floats(0, 40),
                    drift=st.floats(-1e-3, 1e-3),
                    drop=st.sampled_from((0.0, 0.1, 0.5)),
                    burst=st.sampled_from((0.0, 0.1)),
                    begin=st.sampled_from((0.0, 700.0)),
                    end=st.sampled_from((900.0, 2000.0)),
                ),
            )
            for modality in Modality
        )
    ),
)
seeds = st.integers(0, 1000)
few = settings(
    max_examples=40, deadline=None, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)


# Rule 1: bounded buffers, offsets and windows, events are a slice.


@few
@given(sensor_worlds, seeds, st.integers(1, 5))
def test_buffers_never_hold_more_than_their_capacity(world, seed, capacity):
    config = without_window(SynchronizerConfig(anchors=(RGB,)), capacity=capacity)
    synchronizer = Synchronizer(config)
    for now, modality, stamp in arrivals(world, seed):
        synchronizer.add(modality, stamp, None, now)
        assert all(len(stream.messages) <= capacity for stream in synchronizer._streams)


def test_a_full_buffer_keeps_its_newest_when_an_older_one_is_overtaken():
    config = without_window(SynchronizerConfig(anchors=(RGB,)), capacity=1)
    synchronizer = Synchronizer(config)
    for stamp in (START + 20 * MS, START + 10 * MS):
        synchronizer.add(DEPTH, stamp, stamp, stamp)
    synchronizer.add(RGB, START + 30 * MS, None, START + 30 * MS)
    (frame,) = synchronizer.flush()
    assert frame.measurements[DEPTH] == START + 20 * MS


def test_an_offset_moves_a_sensors_stamps():
    config = SynchronizerConfig()
    config = replace(config, timing={**config.timing, DEPTH: Timing(offset=-0.08, hold=0.0)})
    rows = arrivals([Sensor(RGB, latency=85.0), Sensor(DEPTH, phase=80.0)])
    frames = [frame for _, frame in drive(config, rows)][2:-2]
    for frame in frames:
        assert frame.measurements[DEPTH][1] == frame.measurements[RGB][1] + 80 * MS
    assert len(frames) > 20


def test_a_measurement_outside_its_window_is_not_used():
    config = without_window(SynchronizerConfig(anchors=(RGB,)), window=0.03, hold=0.0)
    frames = drive(config, arrivals([Sensor(RGB), Sensor(DEPTH, phase=40.0)]))
    assert {frame.availability[DEPTH] for _, frame in frames} == {MISSING}


def test_events_are_the_chunks_that_reach_into_the_window_before_the_reference():
    frames = drive(SynchronizerConfig(), arrivals(four()))
    for _, frame in frames[1:-1]:
        stamps = [stamp for _, stamp in frame.measurements[EVENT]]
        assert stamps == sorted(stamps)
        assert frame.stamp - 50 * MS < stamps[0] <= frame.stamp - 44 * MS
        assert stamps[-1] >= frame.stamp > stamps[-2]


# Rule 2: the first living modality opens Frames.


def test_the_preferred_anchor_opens_frames_while_it_lives():
    frames = drive(SynchronizerConfig(), arrivals(four()))[1:]
    assert {frame.anchor for _, frame in frames} == {RGB}
    assert all(frame.stamp == frame.measurements[RGB][1] for _, frame in frames)


@few
@given(seeds, st.floats(0, 99), st.floats(0, 99), st.floats(0, 15), st.floats(-5e-4, 5e-4))
def test_output_keeps_its_rate_when_anchors_die_one_after_the_other(
    seed, depth_phase, lidar_phase, jitter, drift
):
    sensors = [
        Sensor(RGB, jitter=jitter, end=1000),
        Sensor(DEPTH, phase=depth_phase, jitter=jitter, drift=drift, end=2000),
        Sensor(LIDAR, phase=lidar_phase, jitter=jitter, drift=drift, end=3000),
        Sensor(EVENT, 5.0, latency=1.0, end=4000),
    ]
    stamps = stamps_of(drive(SynchronizerConfig(), arrivals(sensors, seed)))
    gaps = [b - a for a, b in zip(stamps, stamps[1:], strict=False)]
    assert max(gaps) <= 255 * MS
    assert 37 <= len(stamps) <= 42
    assert stamps[-1] >= START + 3890 * MS


def test_frames_of_events_alone_come_once_a_period_without_drifting_away():
    frames = drive(SynchronizerConfig(), arrivals([Sensor(EVENT, 7.0, latency=1.0, end=8000.0)]))
    assert 79 <= len(frames) <= 81


def test_a_revived_camera_is_the_anchor_again_with_its_first_message():
    sensors = [*four({RGB: 1000.0}), Sensor(RGB, begin=2000.0, end=3000.0)]
    frames = drive(SynchronizerConfig(), arrivals(sensors))
    back = [frame for _, frame in frames if frame.stamp >= START + 2000 * MS]
    assert back[0].stamp == START + 2000 * MS
    assert all(frame.availability[RGB] is OK for frame in back)
    assert all(frame.anchor is RGB for frame in back[1:])


def test_a_modality_that_is_no_anchor_never_opens_a_frame():
    config = SynchronizerConfig(anchors=(RGB, DEPTH))
    assert drive(config, arrivals([Sensor(LIDAR), Sensor(EVENT, 5.0)])) == []


def test_nothing_leaves_while_nothing_is_heard():
    sensors = [*four({m: 500.0 for m in Modality}), Sensor(LIDAR, begin=2000.0, end=3000.0)]
    frames = drive(SynchronizerConfig(), arrivals(sensors))
    silent = [s for s in stamps_of(frames) if START + 500 * MS <= s < START + 2000 * MS]
    assert silent == []
    assert sum(s >= START + 2000 * MS for s in stamps_of(frames)) == 10


@pytest.mark.parametrize(("interval", "rate"), [(1000 / 30, 10.0), (100.0, 10.0), (100.0, 4.0)])
def test_a_maximum_rate_is_kept_and_reached(interval, rate):
    config = SynchronizerConfig(maximum_rate=rate)
    frames = drive(config, arrivals([Sensor(RGB, interval=interval, jitter=3.0)]))
    stamps = stamps_of(frames)
    gaps = [b - a for a, b in zip(stamps, stamps[1:], strict=False)]
    assert min(gaps) >= 0.8e9 / rate
    seconds = (stamps[-1] - stamps[0]) * 1e-9
    assert 0.95 * rate <= (len(frames) - 1) / seconds <= rate + 0.2 / seconds


def test_a_maximum_rate_can_be_set_while_frames_are_made():
    synchronizer = Synchronizer(SynchronizerConfig(timing={RGB: Timing()}))

    def made(first: int, count: int) -> int:
        return sum(
            len(synchronizer.add(RGB, START + i * 100 * MS, None, START + i * 100 * MS))
            for i in range(first, first + count)
        )

    assert made(0, 20) == 20
    synchronizer.limit(5.0)
    assert made(20, 20) == 10
    synchronizer.limit(0.0)
    assert made(40, 20) == 20


# Rule 3: the nearest in the window, otherwise the last one that may be held.


@few
@given(sensor_worlds, seeds)
def test_every_frame_has_the_nearest_of_what_had_arrived(world, seed):
    # No two at once: what arrived before a Frame left is known by the clock then.
    rows = [(now + k, m, s) for k, (now, m, s) in enumerate(arrivals(world, seed))]
    config = without_window(SynchronizerConfig(), capacity=10_000)
    timing = config.timing
    frames = drive(config, rows)
    chance = random.Random(seed)
    for left, frame in chance.sample(frames, min(len(frames), 12)):
        for modality in (RGB, DEPTH, LIDAR):
            if modality is frame.anchor:
                continue
            heard = [s for now, m, s in rows if m is modality and now <= left]
            distance = min((abs(s - frame.stamp) for s in heard), default=None)
            before = max((s for s in heard if s <= frame.stamp), default=None)
            found = frame.availability[modality]
            if distance is not None and distance < timing[modality].window * 1e9:
                assert found is OK
                assert abs(frame.measurements[modality][1] - frame.stamp) == distance
            elif before is not None and frame.stamp - before < timing[modality].hold * 1e9:
                assert found is HELD
                assert frame.measurements[modality][1] == before
            elif distance is None or distance > timing[modality].window * 1e9 + 1:
                assert found in (MISSING, HELD)
            assert (modality in frame.measurements) == found.usable


def test_a_slow_sensor_is_held_between_its_measurements_until_it_is_too_old():
    sensors = [Sensor(RGB), Sensor(LIDAR, interval=200.0, end=1500.0)]
    frames = [frame for _, frame in drive(SynchronizerConfig(), arrivals(sensors))]
    assert {f.availability[LIDAR] for f in frames[1:15]} == {OK, HELD}
    assert {f.availability[LIDAR] for f in frames[18:]} == {MISSING}


def test_nothing_is_held_where_holding_is_not_allowed():
    config = without_window(SynchronizerConfig(), hold=0.0)
    frames = drive(config, arrivals([Sensor(RGB), Sensor(LIDAR, interval=200.0)]))
    assert {frame.availability[LIDAR] for _, frame in frames} == {OK, MISSING}


# Rule 4: complete leaves at once, incomplete at its deadline; nobody waits for the dead.


@few
@given(sensor_worlds, seeds)
def test_no_frame_leaves_later_than_its_deadline(world, seed):
    rows = arrivals(world, seed)
    config = SynchronizerConfig()
    heard = {(m, s): now for now, m, s in reversed(rows)}
    for left, frame in drive(config, rows):
        entry = frame.measurements[frame.anchor]
        opened = heard[entry[-1] if isinstance(entry, list) else entry]
        assert opened <= left <= opened + 50 * MS


def test_a_complete_frame_leaves_with_its_last_measurement():
    sensors = [Sensor(RGB), Sensor(DEPTH, latency=20.0), Sensor(LIDAR, latency=35.0)]
    frames = drive(SynchronizerConfig(), arrivals(sensors))[1:]
    assert [left - frame.stamp for left, frame in frames] == [35 * MS] * 29


def test_the_dead_are_not_waited_for_and_the_revived_are():
    sensors = [
        Sensor(RGB),
        Sensor(LIDAR, latency=30.0, end=1000.0),
        Sensor(LIDAR, latency=30.0, begin=2000.0),
    ]
    frames = drive(SynchronizerConfig(), arrivals(sensors))
    waits = {(frame.stamp - START) // MS: (left - frame.stamp) // MS for left, frame in frames}
    assert [waits[t] for t in (900, 1000, 1100, 1200)] == [30, 55, 55, 55]
    assert {waits[t] for t in range(1300, 2000, 100)} == {5}
    assert [waits[t] for t in (2100, 2200, 2900)] == [30, 30, 30]


def test_a_sensor_that_is_always_too_late_is_not_waited_for_and_its_last_is_held():
    frames = drive(SynchronizerConfig(), arrivals([Sensor(RGB), Sensor(LIDAR, latency=110.0)]))
    waits = [left - frame.stamp for left, frame in frames[6:]]
    assert waits == [5 * MS] * len(waits)
    assert {frame.availability[LIDAR] for _, frame in frames[6:]} == {HELD}


def test_a_sensor_that_misses_every_deadline_is_not_waited_for_either():
    frames = drive(SynchronizerConfig(), arrivals([Sensor(RGB), Sensor(LIDAR, latency=70.0)]))
    assert {left - frame.stamp for left, frame in frames[8:]} == {5 * MS}


def test_a_slow_sensor_is_not_waited_for_when_its_next_measurement_is_out_of_the_window():
    frames = drive(SynchronizerConfig(), arrivals([Sensor(RGB), Sensor(LIDAR, interval=200.0)]))
    assert {left - frame.stamp for left, frame in frames[4:]} == {5 * MS}


def test_a_frame_has_its_trigger_even_if_the_buffer_has_let_go_of_it():
    config = without_window(SynchronizerConfig(), capacity=1)
    sensors = [Sensor(RGB, interval=20.0), Sensor(LIDAR, interval=20.0, latency=45.0)]
    frames = drive(config, arrivals(sensors))
    assert all(frame.measurements[RGB] == (RGB, frame.stamp) for _, frame in frames)
    assert len(frames) == 150


def test_a_disabled_modality_is_neither_used_nor_waited_for():
    synchronizer = Synchronizer(SynchronizerConfig())
    for now, modality, stamp in arrivals(four(end=dict.fromkeys(Modality, 500.0))):
        synchronizer.add(modality, stamp, None, now)
    synchronizer.enable(LIDAR, False)
    assert synchronizer.add(LIDAR, START + 600 * MS, None, START + 600 * MS) == []
    assert synchronizer._streams[LIDAR].dead
    stamp = START + 600 * MS
    synchronizer.add(DEPTH, stamp, None, stamp)
    synchronizer.add(EVENT, stamp, None, stamp)
    (frame,) = synchronizer.add(RGB, stamp, None, stamp)
    assert frame.availability[LIDAR] is Availability.DISABLED
    assert frame.subset == (RGB, DEPTH, EVENT)


def test_the_place_of_a_disabled_anchor_is_taken_without_patience():
    synchronizer = Synchronizer(SynchronizerConfig())
    for modality, ms in ((RGB, 0), (DEPTH, 30), (RGB, 100)):
        synchronizer.add(modality, START + ms * MS, None, START + ms * MS)
    synchronizer.enable(RGB, False)
    frames = synchronizer.add(DEPTH, START + 160 * MS, None, START + 160 * MS)
    assert [frame.anchor for frame in frames] == [RGB, DEPTH]


def test_disabling_the_anchor_lets_the_next_one_open_the_next_frame():
    synchronizer = Synchronizer(SynchronizerConfig())
    anchors = []
    for now, modality, stamp in arrivals(four()):
        if now > START + 1000 * MS:
            synchronizer.enable(RGB, False)
        anchors += [f.anchor for f in synchronizer.add(modality, stamp, None, now)]
    assert anchors.count(DEPTH) >= 19


def test_a_refused_message_is_invalid_with_its_reason_until_a_good_one_comes():
    synchronizer = Synchronizer(SynchronizerConfig())
    synchronizer.refuse(LIDAR, "stamp is zero", START)
    (frame,) = synchronizer.add(RGB, START, None, START)
    assert frame.availability[LIDAR] is Availability.INVALID
    assert frame.reasons[LIDAR] == "stamp is zero"
    synchronizer.add(LIDAR, START + 100 * MS, None, START + 100 * MS)
    (frame,) = synchronizer.add(RGB, START + 100 * MS, None, START + 100 * MS)
    assert frame.availability[LIDAR] is OK
    (frame,) = [
        frame
        for k in (6, 10)
        for frame in synchronizer.add(RGB, START + 100 * k * MS, None, START + 100 * k * MS)
    ][-1:]
    assert frame.availability[LIDAR] is MISSING


@pytest.mark.parametrize("way", ("live", "replay"))
@pytest.mark.parametrize("late", (18, 35))
@pytest.mark.parametrize("left", (set(), {LIDAR, EVENT}, {EVENT}))
def test_where_every_second_message_of_the_anchor_is_refused_the_output_keeps_its_rate(
    way, late, left
):
    sensors = [s for s in vehicle(late) if s.modality is RGB or s.modality in (left or Modality)]
    synchronizer = Synchronizer(SynchronizerConfig(live=way == "live"))
    frames = []
    for now, modality, stamp in arrivals(sensors):
        frames += synchronizer.poll(now)
        if modality is RGB and (stamp - START) // (100 * MS) % 2:
            frames += synchronizer.refuse(modality, "frame_id is moon", now)
        else:
            frames += synchronizer.add(modality, stamp, (modality, stamp), now)
    assert 29 <= len(frames) <= 31
    gaps = [(b.stamp - a.stamp) / MS for a, b in pairwise(frames)]
    assert all(50 <= gap <= 150 for gap in gaps), gaps
    fresh = [frame for frame in frames if frame.availability[RGB] is OK]
    assert len(fresh) >= 14


def vehicle(rgb_late: float) -> list[Sensor]:
    """Sensors of the demo's vehicle, but for when the camera's images come."""
    events = Sensor(EVENT, interval=10, latency=11)
    return [
        Sensor(RGB, latency=rgb_late),
        Sensor(DEPTH, latency=22),
        Sensor(LIDAR, latency=28),
        events,
    ]


@pytest.mark.parametrize("way", ("live", "replay"))
@pytest.mark.parametrize("late", (18, 35))
@pytest.mark.parametrize(("rate", "expected"), ((0.0, 29), (10.0, 29), (5.0, 15)))
def test_messages_of_the_anchor_that_come_in_pairs_the_later_first_cost_no_frame(
    way, late, rate, expected
):
    rows = []
    for now, modality, stamp in arrivals(vehicle(late)):
        number = (stamp - START) // (100 * MS)
        if modality is RGB:  # numbers 1, 0 come together, and so do 3, 2
            now += 0 if number % 2 else 100 * MS + 1
        rows.append((now, modality, stamp))
    run = drive if way == "live" else recorded
    frames = [frame for _, frame in run(SynchronizerConfig(maximum_rate=rate), sorted(rows))]
    assert len(frames) == pytest.approx(expected, abs=1)
    stamps = [frame.stamp for frame in frames]
    assert stamps == sorted(set(stamps))
    assert all(len(frame.measurements) == 4 for frame in frames[2:-1])
    assert all(frame.measurements[RGB] == (RGB, frame.stamp) for frame in frames[2:-1])


# Rule 5: stamps drive replay, so that it is the same on every run.


@few
@given(sensor_worlds, seeds)
def test_replay_does_not_look_at_the_steady_clock(world, seed):
    rows = arrivals(world, seed)
    synchronizer, chance = Synchronizer(SynchronizerConfig(live=False)), random.Random(seed)
    frames: list[Frame] = []
    for _, modality, stamp in rows:
        now = chance.randrange(1 << 60)
        frames += synchronizer.poll(now)
        frames += synchronizer.add(modality, stamp, (modality, stamp), now)
    frames += synchronizer.flush()

    def content(frame: Frame) -> tuple:
        return frame.stamp, frame.anchor, frame.measurements, frame.availability, frame.reasons

    wanted = [content(frame) for _, frame in recorded(SynchronizerConfig(), rows)]
    assert [content(frame) for frame in frames] == wanted
    assert synchronizer.next_deadline is None


def test_in_replay_a_later_stamp_ends_the_wait():
    sensors = [Sensor(RGB), Sensor(LIDAR, end=1000.0), Sensor(EVENT, 5.0, latency=1.0)]
    rows = arrivals(sensors)
    frames = recorded(SynchronizerConfig(), rows)
    assert stamps_of(frames) == [START + 100 * k * MS for k in range(30)]


def test_live_the_steady_clock_ends_the_wait_where_no_stamp_comes():
    config = SynchronizerConfig(dead_after=100)
    rows = arrivals([Sensor(RGB, end=1900.0), Sensor(LIDAR, end=1000.0)])
    left, frame = drive(config, rows)[-1]
    assert (frame.stamp, left) == (START + 1800 * MS, START + (1800 + 5 + 50) * MS)


# Rule 6: stamps go forward, late measurements are counted, a jump backwards starts anew.


@few
@given(sensor_worlds, seeds)
def test_reference_stamps_only_go_forward(world, seed):
    stamps = stamps_of(drive(SynchronizerConfig(), arrivals(world, seed)))
    assert all(a < b for a, b in zip(stamps, stamps[1:], strict=False))


def test_what_comes_after_a_frame_that_lacked_it_is_counted_as_late():
    synchronizer = Synchronizer(SynchronizerConfig())
    for now, modality, stamp in arrivals([Sensor(RGB), Sensor(LIDAR, latency=70.0)]):
        synchronizer.poll(now)
        synchronizer.add(modality, stamp, None, now)
    assert synchronizer.counters.late >= 29
    punctual = Synchronizer(SynchronizerConfig())
    for now, modality, stamp in arrivals([Sensor(RGB), Sensor(LIDAR, latency=30.0)]):
        punctual.add(modality, stamp, None, now)
    assert punctual.counters.late <= 1


@few
@given(st.floats(600, 3000), seeds)
def test_a_looping_bag_goes_on_at_once(length, seed):
    one = arrivals([replace(s, end=length) for s in four(jitter=10.0)], seed)
    again = [(now + int(length) * MS, m, s) for now, m, s in one]
    synchronizer = Synchronizer(SynchronizerConfig())
    frames: list[Frame] = []
    for now, modality, stamp in one:
        synchronizer.add(modality, stamp, None, now)
    for now, modality, stamp in again:
        frames += synchronizer.poll(now)
        frames += synchronizer.add(modality, stamp, None, now)
    assert 1 <= synchronizer.counters.resets <= 3
    assert frames[0].stamp <= START + 300 * MS
    assert len(frames) >= length / 100 - 3


def test_one_stamp_that_slips_back_resets_nothing_and_no_frame_goes_back():
    synchronizer = Synchronizer(SynchronizerConfig())
    rows = arrivals(four())
    slip = next(i for i, row in enumerate(rows) if row[1] is LIDAR and row[2] > START + 1500 * MS)
    now, modality, stamp = rows[slip]
    rows[slip] = (now, modality, stamp - 800 * MS)
    stamps: list[int] = []
    for now, modality, stamp in rows:
        frames = [*synchronizer.poll(now), *synchronizer.add(modality, stamp, None, now)]
        stamps += [frame.stamp for frame in frames]
    assert synchronizer.counters.resets == 0 and synchronizer.counters.late >= 1
    assert stamps == sorted(stamps) and len(stamps) >= 29


def test_a_sensor_that_slips_now_and_then_resets_nothing():
    synchronizer = Synchronizer(SynchronizerConfig())
    for k in range(20):
        stamp = START + (k * 100 - (800 if k % 3 == 2 else 0)) * MS
        synchronizer.add(LIDAR, stamp, None, k * 100 * MS)
    assert synchronizer.counters.resets == 0 and synchronizer.counters.late == 6


@pytest.mark.parametrize(("apart", "resets"), [(1, 1), (3600, 0)])
def test_slips_of_two_sensors_agree_only_when_they_are_near_each_other(apart, resets):
    synchronizer = Synchronizer(SynchronizerConfig())
    for modality in (RGB, LIDAR):
        synchronizer.add(modality, START + 2000 * MS, None, 2000 * MS)
    synchronizer.add(LIDAR, START, None, 2100 * MS)  # it slips, and dies
    synchronizer.add(RGB, START, None, (2100 + apart * 1000) * MS)
    assert synchronizer.counters.resets == resets


def test_slips_of_two_sensors_to_different_times_reset_nothing():
    synchronizer = Synchronizer(SynchronizerConfig())
    for modality in (RGB, LIDAR, DEPTH):
        synchronizer.add(modality, START + 60_000 * MS, None, 2000 * MS)
    synchronizer.add(LIDAR, START + 50_000 * MS, None, 2100 * MS)
    synchronizer.add(DEPTH, START + 40_000 * MS, None, 2110 * MS)
    assert synchronizer.counters.resets == 0


def test_frames_that_a_reset_drops_are_counted():
    synchronizer = Synchronizer(SynchronizerConfig())
    left = 0
    sensors = [Sensor(RGB, end=1000.0), Sensor(LIDAR, latency=40.0, end=1000.0)]
    for now, modality, stamp in arrivals(sensors)[:-1]:
        left += len(synchronizer.poll(now)) + len(synchronizer.add(modality, stamp, None, now))
    synchronizer.reset()
    counters = synchronizer.counters
    assert counters.forgotten > 0 and counters.opened == left + counters.forgotten


def test_a_single_sensor_that_begins_anew_loses_no_message():
    synchronizer = Synchronizer(SynchronizerConfig())
    rows = [(k, START + k * 100 * MS) for k in range(10)]
    frames = [f for k, s in rows for f in synchronizer.add(LIDAR, s, k, k * 100 * MS)]
    again = [f for k, s in rows for f in synchronizer.add(LIDAR, s, k, (k + 10) * 100 * MS)]
    assert synchronizer.counters.resets == 1 and synchronizer.counters.late == 0
    assert [f.stamp for f in again] == [f.stamp for f in frames]


def test_pictures_of_events_are_matched_like_any_picture():
    timing = dict(SynchronizerConfig().timing) | {EVENT: Timing()}
    rows = [(EVENT, -40), (EVENT, 60), (RGB, 0)]
    messages = [(0, modality, START + ms * MS) for modality, ms in rows]
    ((_, frame),) = recorded(SynchronizerConfig(anchors=(RGB,), timing=timing), messages)
    assert frame.measurements[EVENT] == (EVENT, START - 40 * MS)


def test_a_pause_and_a_jump_forward_cost_no_frame():
    one = arrivals(four(end=dict.fromkeys(Modality, 500.0)))
    later = [(now + 5000 * MS, m, s + 60_000 * MS) for now, m, s in one]
    assert len(drive(SynchronizerConfig(), one + later)) == 10


def test_reset_forgets_what_was_pending():
    synchronizer = Synchronizer(SynchronizerConfig())
    rows = arrivals([Sensor(RGB, end=1000.0), Sensor(LIDAR, latency=40.0, end=1000.0)])
    for now, modality, stamp in rows[:-1]:
        synchronizer.add(modality, stamp, None, now)
    assert synchronizer.next_deadline is not None
    synchronizer.reset()
    assert synchronizer.next_deadline is None
    assert synchronizer.flush() == []


# Clocks that differ: a sensor is heard as long as it arrives and its own stamps advance.

ways = pytest.mark.parametrize("way", [drive, recorded])
offs = pytest.mark.parametrize(
    "ahead", [160, 199, 300, 1000, 5000, 37000, -160, -300, -1000, -5000]
)


def rig(**changes: dict[str, float]) -> list[Sensor]:
    """Camera, depth and LiDAR at 10 Hz that measure at the same time, with `changes` by name."""
    latencies = {RGB: 8.0, DEPTH: 12.0, LIDAR: 18.0}
    sensors = [Sensor(m, latency=latency, jitter=3.0) for m, latency in latencies.items()]
    return [replace(one, **changes.get(one.modality.label, {})) for one in sensors]


def anchors_of(frames: list[tuple[int, Frame]]) -> list[Modality | None]:
    return [frame.anchor for _, frame in frames]


@ways
@offs
@pytest.mark.parametrize("who", [DEPTH, LIDAR])
def test_a_sensor_whose_clock_is_off_takes_no_frame_from_the_others(way, who, ahead):
    frames = way(SynchronizerConfig(), arrivals(rig(**{who.label: {"ahead": ahead}})))
    other = LIDAR if who is DEPTH else DEPTH
    assert anchors_of(frames) == [RGB] * 30
    assert all(frame.availability[other] is OK for _, frame in frames[1:])


@ways
@offs
def test_a_camera_whose_clock_is_off_stays_the_anchor(way, ahead):
    frames = way(SynchronizerConfig(), arrivals(rig(rgb={"ahead": ahead})))
    assert anchors_of(frames) == [RGB] * 30


@ways
@pytest.mark.parametrize("interval", [33.0, 200.0])
@pytest.mark.parametrize("ahead", [120, 199, 1000])
def test_rates_may_differ_as_well_as_clocks(way, interval, ahead):
    sensors = rig(lidar={"ahead": ahead, "interval": interval}, rgb={"interval": 50.0})
    anchors = anchors_of(way(SynchronizerConfig(), arrivals(sensors)))
    # Of one message nobody can tell whether its clock is ahead or the others are silent.
    assert anchors[2:] == [RGB] * (len(anchors) - 2) and len(anchors) >= 58


@ways
@pytest.mark.parametrize("drift", [0.2, 0.02, -0.02, -0.2])
@pytest.mark.parametrize("who", ["rgb", "depth", "lidar"])
def test_a_clock_that_drifts_away_takes_no_frame_from_the_others(way, who, drift):
    sensors = [replace(one, end=20_000.0) for one in rig(**{who: {"drift": drift}})]
    frames = way(SynchronizerConfig(), arrivals(sensors))
    assert anchors_of(frames) == [RGB] * 200


@ways
@pytest.mark.parametrize("ahead", [400, 5000])
def test_a_clock_that_jumps_ahead_takes_no_frame_from_the_others(way, ahead):
    sensors = [
        *rig(lidar={"end": 1500.0}),
        Sensor(LIDAR, latency=18.0, jitter=3.0, begin=1500.0, ahead=ahead),
    ]
    frames = way(SynchronizerConfig(), arrivals(sensors))
    assert anchors_of(frames) == [RGB] * 30
    assert all(frame.availability[DEPTH] is OK for _, frame in frames[1:])


@ways
@pytest.mark.parametrize(
    ("ahead", "gap"), [(160, 320), (5000, 320), (-160, 550), (-400, 750), (-5000, 1500)]
)
def test_a_sensor_whose_clock_is_off_takes_over_when_the_others_die(way, ahead, gap):
    sensors = rig(rgb={"end": 1000.0}, depth={"end": 1000.0}, lidar={"ahead": ahead, "end": 6000.0})
    frames = way(SynchronizerConfig(), arrivals(sensors))
    anchors = anchors_of(frames)
    assert anchors == [RGB] * 10 + [LIDAR] * (len(anchors) - 10)
    left = [now for now, _ in frames]
    assert max(b - a for a, b in zip(left, left[1:], strict=False)) <= gap * MS
    assert len(frames) >= 60 - gap / 100


@ways
@pytest.mark.parametrize(("ahead", "resets"), [(160, 0), (400, 0), (1000, 1), (5000, 1)])
@pytest.mark.parametrize("begin", [0.0, 1000.0])
def test_the_camera_is_the_anchor_again_although_the_lidar_s_clock_runs_ahead(
    way, ahead, resets, begin
):
    sensors = [
        *rig(rgb={"end": begin}, depth={"begin": 1.0 + begin}, lidar={"ahead": ahead}),
        Sensor(RGB, begin=begin + 700.0, end=5000.0, latency=8.0),
    ]
    sensors = [replace(one, end=5000.0) if one.modality is LIDAR else one for one in sensors]
    sensors = [one for one in sensors if one.modality is not DEPTH]
    frames = way(SynchronizerConfig(), arrivals(sensors))
    last = next(i for i in reversed(range(len(frames))) if frames[i][1].anchor is LIDAR)
    assert frames[last][0] <= START + (begin + 700 + 1300) * MS
    assert len(frames) - last >= 50 - (begin + 700 + 1300) / 100
    left = [now for now, _ in frames]
    assert max(b - a for a, b in zip(left, left[1:], strict=False)) <= 600 * MS
    back = sum(b < a for a, b in zip(stamps_of(frames), stamps_of(frames)[1:], strict=False))
    assert back == resets


@ways
@pytest.mark.parametrize("who", [DEPTH, LIDAR])
@pytest.mark.parametrize("ahead_s", [1, 86400, -86400])
@pytest.mark.parametrize("off", [range(10, 11), range(10, 20)])
def test_a_clock_that_is_set_forth_and_back_is_its_sensors_own_affair(way, who, ahead_s, off):
    rows, seen = [], 0
    for now, modality, stamp in arrivals(rig()):
        seen += modality is who
        wrong = modality is who and seen in off
        rows.append((now, modality, stamp + ahead_s * 10**9 if wrong else stamp))
    frames = way(SynchronizerConfig(), rows)
    other = LIDAR if who is DEPTH else DEPTH
    assert anchors_of(frames) == [RGB] * 30
    assert all(frame.availability[other] is OK for _, frame in frames[1:])
    # The LiDAR comes last: nobody waits for the first message of a sensor that began anew.
    assert all(frame.availability[who] is OK for _, frame in frames[20 if who is DEPTH else 21 :])


@ways
def test_a_camera_that_is_heard_now_and_then_begins_no_new_time(way):
    sensors = [Sensor(LIDAR, end=9000.0, ahead=5000.0)]
    sensors += [Sensor(RGB, begin=at, end=at + 250.0) for at in (1000.0, 3000.0, 5000.0, 7000.0)]
    assert anchors_of(way(SynchronizerConfig(), arrivals(sensors))) == [LIDAR] * 90


@ways
def test_a_message_that_is_lost_while_the_anchor_dies_delays_nothing(way):
    rows = arrivals([Sensor(RGB, end=950.0), Sensor(DEPTH, phase=60.0)])
    rows = [row for row in rows if row[1:] != (DEPTH, START + 960 * MS)]
    frames = way(SynchronizerConfig(), rows)
    assert [frame.stamp for _, frame in frames if frame.anchor is DEPTH][0] == START + 1060 * MS


@ways
@pytest.mark.parametrize("ahead", [160, 300, 5000])
def test_stamps_that_run_ahead_cut_no_wait_short(way, ahead):
    sensors = rig(depth={"latency": 40.0, "jitter": 0.0}, lidar={"ahead": ahead, "latency": 20.0})
    frames = way(SynchronizerConfig(), arrivals(sensors))
    assert all(frame.availability[DEPTH] is OK for _, frame in frames[1:])


@ways
def test_a_sensor_whose_stamps_stand_still_is_not_heard(way):
    rows = arrivals(rig())
    stuck = [(now, m, min(s, START + 1000 * MS) if m is RGB else s) for now, m, s in rows]
    anchors = anchors_of(way(SynchronizerConfig(), stuck))
    assert anchors[:11] == [RGB] * 11 and anchors[11:] == [DEPTH] * (len(anchors) - 11)
    assert len(anchors) >= 28


@ways
def test_messages_that_were_held_up_for_seconds_begin_no_new_time(way):
    held = [
        (max(now, START + 2050 * MS) if m is LIDAR and now > START + 300 * MS else now, m, s)
        for now, m, s in arrivals(rig())
    ]
    frames = way(SynchronizerConfig(), sorted(held))
    assert anchors_of(frames) == [RGB] * 30
    assert stamps_of(frames) == sorted(stamps_of(frames))


def test_what_an_executor_did_not_take_for_a_while_changes_no_anchor():
    rows = arrivals(rig())
    stalled = [
        (START + 1700 * MS if START + 1250 * MS < now < START + 1700 * MS else now, m, s)
        for now, m, s in rows
    ]
    stalled.sort(key=lambda row: (row[0], row[2], -row[1]))  # the LiDAR's is taken first
    frames = drive(SynchronizerConfig(), stalled)
    assert anchors_of(frames) == [RGB] * 30


# The timer of a node: armed for the next deadline, and for nothing else.


@few
@given(sensor_worlds, seeds)
def test_a_one_shot_timer_at_the_next_deadline_is_all_that_a_node_needs(world, seed):
    rows = arrivals(world, seed)
    synchronizer, left, fired, timer = Synchronizer(SynchronizerConfig()), 0, 0, None
    for now, modality, stamp in [*rows, (rows[-1][0] + 10**9, RGB, 0)] if rows else []:
        while timer is not None and timer <= now:
            fired += 1
            frames = synchronizer.poll(timer)
            assert frames  # it never fires in vain
            left += len(frames)
            timer = synchronizer.next_deadline
        if stamp:
            left += len(synchronizer.add(modality, stamp, None, now))
            timer = synchronizer.next_deadline
    assert timer is None and synchronizer.flush() == []
    assert left == synchronizer.counters.opened and fired <= left


def test_nothing_is_due_while_no_frame_waits():
    synchronizer = Synchronizer(SynchronizerConfig())
    assert synchronizer.next_deadline is None
    for now, modality, stamp in arrivals(rig(lidar={"end": 250.0}))[:-1]:
        synchronizer.poll(now)
        synchronizer.add(modality, stamp, None, now)
        if not synchronizer.next_deadline:
            assert synchronizer.poll(now + 10**12) == []


# Arguments.


@pytest.mark.parametrize(
    "wrong",
    [
        {"anchors": ()},
        {"anchors": (RGB, RGB)},
        {"period": 0.0},
        {"deadline": -1.0},
        {"dead_after": 0},
        {"timing": {RGB: Timing(window=-0.1)}},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        SynchronizerConfig(**wrong)


@pytest.mark.parametrize("run", [drive, recorded])
def test_slow_sensors_whose_intervals_vary_are_waited_for(run) -> None:
    """Key frames of a recording: 2 Hz, 0.4 to 0.6 s apart, the LiDAR 40 ms behind the camera."""
    chance, at, rows = random.Random(3), 0, []
    for _ in range(60):
        stamp = START + at * MS
        rows.append((stamp + 2 * MS, RGB, stamp))
        rows.append((stamp + 42 * MS, LIDAR, stamp + 40 * MS))
        at += chance.choice((400, 450, 500, 500, 500, 550, 600))
    timing = {**SynchronizerConfig().timing, LIDAR: Timing(window=0.06)}
    frames = run(SynchronizerConfig(timing=timing), sorted(rows))
    assert len(frames) == 60
    assert sum(frame.availability[LIDAR] == OK for _, frame in frames) >= 57


def test_what_a_waiting_frame_has_for_certain_is_told_once_and_is_what_it_has_in_the_end() -> None:
    synchronizer = Synchronizer(replace(CERTAIN, live=True))
    at = [START + k * 100 * MS for k in range(3)]
    for stamp in at[:2]:
        for modality in (RGB, DEPTH, LIDAR):
            synchronizer.add(modality, stamp, (modality, stamp), stamp)
    assert synchronizer.certain() is None
    assert synchronizer.add(RGB, at[2], "picture", at[2]) == []
    assert synchronizer.awaits(DEPTH) and not synchronizer.awaits(RGB)
    certain = synchronizer.certain()
    assert certain.stamp == at[2] and certain.measurements == {RGB: "picture"}
    assert synchronizer.certain() is None
    assert synchronizer.add(DEPTH, at[2] + MS, "depth", at[2]) == []
    certain = synchronizer.certain()
    (frame,) = synchronizer.add(LIDAR, at[2], "cloud", at[2])
    assert frame.measurements == {**certain.measurements, LIDAR: "cloud"}
    assert synchronizer.certain() is None and not synchronizer.awaits(LIDAR)


CERTAIN = SynchronizerConfig(timing={m: Timing() for m in (RGB, DEPTH, LIDAR)})
