"""What a status says of ages, of sensors between frames, and of frames that fail."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.runtime.pipeline import Received, Result
from any2seg_ros.runtime.status import FrameCounters, Latencies, NodeState, idle_status, status_of
from any2seg_ros.types import Availability, Frame, Measurement, Modality, Segmentation

RGB, DEPTH, LIDAR, EVENT = Modality
SECOND = 1_000_000_000
STAMP = 1000 * SECOND


def message(kind: str, **fields) -> SimpleNamespace:
    return SimpleNamespace(**fields)


@pytest.fixture
def state() -> NodeState:
    made = NodeState()
    for monitor in made.monitors.values():
        monitor.on_message(STAMP)
    return made


def test_ages_are_of_moved_stamps_and_below_zero_for_what_is_newer(state: NodeState) -> None:
    state.offset_s = {LIDAR: 0.08}
    stamps = {RGB: STAMP, DEPTH: STAMP + SECOND // 20, LIDAR: STAMP - SECOND * 8 // 100}
    frame = Frame.of(*(Measurement(m, stamp, None) for m, stamp in stamps.items()), stamp=STAMP)
    received = {m: Received(stamp, 0, None, None) for m, stamp in stamps.items()}
    status = status_of(message, state, Result(frame, {}, received, None, 0.0, None, 0.0), None)
    ages = [row.age for row in status.modalities[:3]]
    assert ages == pytest.approx([0.0, -0.05, 0.0], abs=1e-6)


def half_camera() -> Result:
    """A frame in which the camera weighs one half, and the depth image was refused."""
    measured = [Measurement(m, STAMP, None) for m in (RGB, LIDAR, EVENT)]
    frame = Frame.of(*measured, stamp=STAMP)
    frame = replace(
        frame,
        availability={**frame.availability, DEPTH: Availability.INVALID},
        reasons={**frame.reasons, DEPTH: "all holes"},
    )
    confidence = np.full((2, 2), 0.25)
    segmentation = Segmentation(np.zeros((2, 2), np.uint8), confidence, {RGB: 0.5, LIDAR: 0.5})
    return Result(frame, {}, {}, None, 0.0, segmentation, 0.0)


def rows_after(state: NodeState, seconds: float) -> list[tuple[Availability, float, str]]:
    now = STAMP + round(seconds * SECOND)
    for modality in (RGB, DEPTH, LIDAR):
        state.monitors[modality].on_message(now)
    status = idle_status(message, state, None, now)
    return [(Availability(r.availability), r.weight, r.reason) for r in status.modalities]


def test_between_frames_sensors_that_are_heard_are_what_they_were(state: NodeState) -> None:
    state.interval = 1.0
    state.on_result(half_camera(), STAMP)
    rgb, depth, _, event = rows_after(state, 0.9)
    assert rgb == (Availability.OK, 0.5, "")
    assert depth == (Availability.INVALID, 0.0, "all holes")
    assert event == (Availability.MISSING, 0.0, "silent")
    assert rows_after(state, 2.0)[0][0] == Availability.MISSING


def test_a_frame_that_fails_is_the_reason(state: NodeState) -> None:
    state.failure = "RuntimeError: out of memory"
    assert rows_after(state, 0.1)[0] == (
        Availability.INVALID,
        0.0,
        "received, but its frame failed: RuntimeError: out of memory",
    )


def test_a_status_has_every_number_in_its_place(state: NodeState) -> None:
    names = [field.name for field in fields(FrameCounters) if field.name != "waiting"]
    state.count(half_camera(), STAMP)
    state.counters = FrameCounters(**{name: 10 + i for i, name in enumerate(names)})
    state.latencies = Latencies(0.1, 0.2, 0.3, 0.4, 1.0)
    for modality, monitor in state.monitors.items():
        for tick in range(21):
            monitor.on_message(STAMP + tick)
            monitor.count += modality
            monitor.tick(STAMP + tick * SECOND // 10)
    status = status_of(message, state, half_camera(), "header")
    assert status.header == "header"
    stages = ("wait", "decode", "infer", "publish", "total")
    assert [getattr(status, f"latency_{s}") for s in stages] == [0.1, 0.2, 0.3, 0.4, 1.0]
    other = {"frames_in": "frames_in", "busy": "dropped_busy", "late": "dropped_late"}
    other["resets"] = "resets"
    said = {name: getattr(status, other.get(name, f"frames_{name}")) for name in names}
    assert said == {name: 10 + i for i, name in enumerate(names)}
    assert status.mean_confidence == 0.25
    assert [row.rate for row in status.modalities] == pytest.approx([10, 20, 30, 40], rel=0.01)
    assert [row.weight for row in status.modalities] == [0.5, 0.0, 0.5, 0.0]


def test_every_frame_is_counted_as_what_became_of_it(state: NodeState) -> None:
    state.count(half_camera(), STAMP)
    state.enabled[DEPTH] = state.enabled[EVENT] = False
    state.count(half_camera(), STAMP)
    state.count(replace_segmentation(half_camera()), STAMP)
    counters = state.counters
    assert (counters.published, counters.incomplete, counters.unusable) == (2, 1, 1)


def test_a_sensor_that_the_gate_leaves_out_is_not_used_and_the_status_says_why(state) -> None:
    state.on_result(half_camera(), STAMP)
    given = half_camera()
    gated = replace(given, segmentation=replace(given.segmentation, weights={RGB: 0.0, LIDAR: 1.0}))
    assert gated.segmentation.subset == (LIDAR,)
    state.enabled[DEPTH] = state.enabled[EVENT] = False
    later = STAMP + 2 * SECOND
    for modality in (RGB, LIDAR):
        state.monitors[modality].on_message(later)
    state.on_result(gated, later)
    state.count(gated, later)
    assert state.counters.incomplete == 1
    assert state.lost(RGB, later) and not state.lost(LIDAR, later)
    between = idle_status(message, state, None, later)
    for status in (status_of(message, state, gated, None), between):
        row = status.modalities[RGB]
        assert (row.availability, row.weight) == (Availability.OK, 0.0)
        assert row.reason == "left out by the gate: it looks as if it would do harm"
        assert status.modalities[LIDAR].reason == ""


def replace_segmentation(result: Result) -> Result:
    """The same frame, nothing of which could be used."""
    return replace(result, segmentation=None)


def test_a_sensor_is_lost_once_no_frame_has_used_it_for_a_while(state: NodeState) -> None:
    state.on_result(half_camera(), STAMP)
    assert not state.lost(RGB, STAMP) and state.lost(DEPTH, STAMP)
    soon, later = STAMP + SECOND // 2, STAMP + 2 * SECOND
    for now in (soon, later):
        state.monitors[RGB].on_message(now)
    assert not state.lost(RGB, soon) and state.lost(RGB, later)


def test_a_busy_network_is_not_a_lack_of_sensors(state: NodeState) -> None:
    state.working_since = STAMP
    _, _, reason = rows_after(state, 3.0)[0]
    assert reason == "received, but inference has been busy for 3 s"


def test_what_is_lost_and_found_is_told_once(state: NodeState) -> None:
    state.on_result(half_camera(), STAMP)
    state.began = STAMP
    assert state.changes(STAMP) == []
    late = STAMP + 10 * SECOND
    assert state.changes(late) == [(m, True) for m in Modality]
    assert state.changes(late) == []
    for modality in (RGB, LIDAR):
        state.monitors[modality].on_message(late)
    state.on_result(half_camera(), late)
    assert state.changes(late) == [(RGB, False), (LIDAR, False)]
    assert state.lost(RGB, late + SECOND // 2) and state.changes(late + SECOND // 2) == []


def test_a_frame_that_fails_is_said_at_once_and_until_one_succeeds(state: NodeState) -> None:
    state.interval = 1.0
    state.on_result(half_camera(), STAMP)
    state.failure = "NonFiniteOutput: the network gave NaN"
    assert "the network gave NaN" in rows_after(state, 0.1)[0][2]
    assert "the network gave NaN" in state.blind(STAMP + SECOND // 10)
    state.count(half_camera(), STAMP)
    state.on_result(half_camera(), STAMP)
    assert rows_after(state, 0.1)[0][0] == Availability.OK and not state.blind(STAMP)


def overdue(state: NodeState, seconds: float) -> str:
    """What a watchdog of 5 s says so long after the last mask, while the LiDAR is heard."""
    now = STAMP + round(seconds * SECOND)
    state.monitors[LIDAR].on_message(now)
    return state.overdue(5.0, now)


def test_masks_that_are_wanted_seldom_are_not_overdue(state: NodeState) -> None:
    state.blind_since = STAMP
    assert not overdue(state, 5.0)
    assert overdue(state, 5.1) == "blind for 5.1 s: no usable sensor"
    assert not state.overdue(0.0, STAMP + 60 * SECOND)
    state.expect(10.0, STAMP)
    assert not overdue(state, 20.0) and overdue(state, 20.1)


def test_masks_that_are_wanted_more_often_now_are_awaited_from_now_on(state: NodeState) -> None:
    state.blind_since, state.interval = STAMP, 10.0
    state.expect(0.1, STAMP + 9 * SECOND)
    assert not overdue(state, 9.1) and not overdue(state, 14.0)
    state.expect(0.1, STAMP + 14 * SECOND)  # nothing new
    assert overdue(state, 14.1)


def test_blind_time_counts_only_while_sensors_are_heard(state: NodeState) -> None:
    def look(seconds: float, heard: bool) -> float:
        now = STAMP + round(seconds * SECOND)
        if heard:
            state.monitors[LIDAR].on_message(now)
        return state.blind_for(now)

    state.blind_since = STAMP
    assert look(5.0, True) == pytest.approx(5.0)
    assert look(60.0, False) == 0.0
    assert look(61.0, True) == pytest.approx(1.0)
    state.count(half_camera(), STAMP + 62 * SECOND)
    assert look(63.0, True) == pytest.approx(1.0)
    state.enabled[LIDAR] = False
    assert look(70.0, True) == 0.0
