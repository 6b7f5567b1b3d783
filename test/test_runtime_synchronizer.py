"""The synchronizer's rules over simulated clocks: jitter, drift, drops, bursts and reordering."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from any2seg_ros.runtime.synchronizer import Synchronizer, SynchronizerConfig, Timing, replay
from any2seg_ros.types import Availability, Frame, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
MS = 1_000_000
START = 1_000 * 1_000_000_000
OK, HELD, MISSING = Availability.OK, Availability.HELD, Availability.MISSING


@dataclass(frozen=True)
class Sensor:
    """A sensor on a simulated clock; times in ms, alive from `begin` to `end`."""

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

    def messages(self, chance: random.Random) -> list[tuple[int, Modality, int]]:
        """(arrival, modality, stamp) in ns; a burst keeps messages back and gives them at once."""
        rows, at, held_until = [], self.begin + self.phase, 0.0
        while at < self.end:
            stamp = START + int(at * (1 + self.drift) * MS)
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
        assert all(synchronizer.kept(m) <= capacity for m in Modality)


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


def test_a_disabled_modality_is_neither_used_nor_waited_for():
    synchronizer = Synchronizer(SynchronizerConfig())
    for now, modality, stamp in arrivals(four(end=dict.fromkeys(Modality, 500.0))):
        synchronizer.add(modality, stamp, None, now)
    synchronizer.enable(LIDAR, False)
    assert synchronizer.add(LIDAR, START + 600 * MS, None, START + 600 * MS) == []
    assert not synchronizer.alive(LIDAR)
    stamp = START + 600 * MS
    synchronizer.add(DEPTH, stamp, None, stamp)
    synchronizer.add(EVENT, stamp, None, stamp)
    (frame,) = synchronizer.add(RGB, stamp, None, stamp)
    assert frame.availability[LIDAR] is Availability.DISABLED
    assert frame.subset == (RGB, DEPTH, EVENT)


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
    synchronizer.refuse(LIDAR, "stamp is zero")
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


# Rule 5: stamps drive replay, so that it is the same on every run.


@few
@given(sensor_worlds, seeds)
def test_replay_does_not_look_at_the_steady_clock(world, seed):
    rows = arrivals(world, seed)
    config = SynchronizerConfig(live=False)
    recorded = list(replay(((m, s, (m, s)) for _, m, s in rows), config))
    synchronizer, chance, frames = Synchronizer(config), random.Random(seed), []
    for _, modality, stamp in rows:
        now = chance.randrange(1 << 60)
        frames += synchronizer.poll(now)
        frames += synchronizer.add(modality, stamp, (modality, stamp), now)
    frames += synchronizer.flush()
    assert [(f.stamp, f.anchor, f.measurements, f.availability, f.reasons) for f in frames] == [
        (f.stamp, f.anchor, f.measurements, f.availability, f.reasons) for f in recorded
    ]
    assert synchronizer.next_deadline is None


def test_in_replay_a_later_stamp_ends_the_wait():
    sensors = [Sensor(RGB), Sensor(LIDAR, end=1000.0), Sensor(EVENT, 5.0, latency=1.0)]
    rows = arrivals(sensors)
    frames = list(replay(((m, s, None) for _, m, s in rows), SynchronizerConfig(live=False)))
    assert [f.stamp for f in frames] == [START + 100 * k * MS for k in range(30)]


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
    assert synchronizer.counters.resets == 1
    assert [f.stamp for f in again] == [f.stamp for f in frames]


def test_pictures_of_events_are_matched_like_any_picture():
    timing = dict(SynchronizerConfig().timing) | {EVENT: Timing()}
    rows = [(EVENT, -40), (EVENT, 60), (RGB, 0)]
    messages = [(modality, START + ms * MS, ms) for modality, ms in rows]
    (frame,) = replay(messages, SynchronizerConfig(anchors=(RGB,), timing=timing))
    assert frame.measurements[EVENT] == -40


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
