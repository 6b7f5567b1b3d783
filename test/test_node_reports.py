"""What a status says of ages, of sensors between frames, and of frames that fail."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from std_msgs.msg import Header

from any2seg_ros.modalities import Availability, Frame, Measurement, Modality
from any2seg_ros.monitor import Monitor
from any2seg_ros.node.reports import Report, idle_status, status_of
from any2seg_ros.pipeline import Received, Result

RGB, DEPTH, LIDAR, EVENT = Modality
SECOND = 1_000_000_000
STAMP = 1000 * SECOND


@pytest.fixture
def report() -> Report:
    made = Report({m: Monitor() for m in Modality}, dict.fromkeys(Modality, True), 0.3)
    for monitor in made.monitors.values():
        monitor.hear(STAMP)
    return made


def test_ages_are_of_moved_stamps_and_below_zero_for_what_is_newer(report: Report) -> None:
    report.offset_s = {LIDAR: 0.08}
    stamps = {RGB: STAMP, DEPTH: STAMP + SECOND // 20, LIDAR: STAMP - SECOND * 8 // 100}
    frame = Frame.of(*(Measurement(m, stamp, None) for m, stamp in stamps.items()), stamp=STAMP)
    received = {m: Received(stamp, 0, None, None) for m, stamp in stamps.items()}
    status = status_of(report, Result(frame, {}, received, None, 0.0, None, 0.0), Header())
    ages = [row.age for row in status.modalities[:3]]
    assert ages == pytest.approx([0.0, -0.05, 0.0], abs=1e-6)


def rows_after(report: Report, seconds: float) -> list[tuple[Availability, float, str]]:
    now = STAMP + round(seconds * SECOND)
    for modality in (RGB, DEPTH, LIDAR):
        report.monitors[modality].hear(now)
    status = idle_status(report, Header(), now)
    return [(Availability(r.availability), r.weight, r.reason) for r in status.modalities]


def test_between_frames_sensors_that_are_heard_are_what_they_were(report: Report) -> None:
    judged = dict.fromkeys(Modality, (Availability.OK, ""))
    judged[DEPTH] = (Availability.INVALID, "all holes")
    report.interval, report.monitors[RGB].weight = 1.0, 0.5
    report.judge(judged, STAMP)
    rgb, depth, _, event = rows_after(report, 0.9)
    assert rgb == (Availability.OK, 0.5, "")
    assert depth == (Availability.INVALID, 0.0, "all holes")
    assert event == (Availability.MISSING, 0.0, "silent")
    assert rows_after(report, 2.0)[0][0] == Availability.MISSING


def test_a_frame_that_fails_is_the_reason(report: Report) -> None:
    report.failure = "RuntimeError: out of memory"
    assert rows_after(report, 0.1)[0] == (
        Availability.INVALID,
        0.0,
        "heard, but its frame has failed: RuntimeError: out of memory",
    )


def test_a_sensor_whose_package_is_missing_is_not_let_in() -> None:
    from any2seg_ros.node.declaration import Declaration
    from any2seg_ros.parameters import NodeParameters, entries

    values = {e.name: list(e.default) if e.name == "anchors" else e.default for e in entries()}
    values |= {"event.enabled": False, "event.type": "prophesee"}
    node = SimpleNamespace(
        running=True,
        declare_parameter=lambda *a: None,
        get_parameter=lambda name: SimpleNamespace(value=values[name]),
    )
    declaration = Declaration(node)
    assert isinstance(declaration.parameters, NodeParameters)
    change = SimpleNamespace(name="event.enabled", value=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "prophesee_event_msgs.msg", None)
        answer = declaration.judge([change])
    assert not answer.successful and "prophesee_event_msgs is not installed" in answer.reason
