"""What a status says of ages, of sensors between frames, and of frames that fail."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.modalities import Availability, Frame, Measurement, Modality, Segmentation
from any2seg_ros.pipeline import Received, Result
from any2seg_ros.reports import Report, idle_status, status_of

RGB, DEPTH, LIDAR, EVENT = Modality
SECOND = 1_000_000_000
STAMP = 1000 * SECOND


def message(kind: str, **fields) -> SimpleNamespace:
    return SimpleNamespace(**fields)


@pytest.fixture
def report() -> Report:
    made = Report()
    for monitor in made.monitors.values():
        monitor.hear(STAMP)
    return made


def test_ages_are_of_moved_stamps_and_below_zero_for_what_is_newer(report: Report) -> None:
    report.offset_s = {LIDAR: 0.08}
    stamps = {RGB: STAMP, DEPTH: STAMP + SECOND // 20, LIDAR: STAMP - SECOND * 8 // 100}
    frame = Frame.of(*(Measurement(m, stamp, None) for m, stamp in stamps.items()), stamp=STAMP)
    received = {m: Received(stamp, 0, None, None) for m, stamp in stamps.items()}
    status = status_of(message, report, Result(frame, {}, received, None, 0.0, None, 0.0), None)
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
    blank = np.zeros((2, 2))
    segmentation = Segmentation(blank.astype(np.uint8), blank, {RGB: 0.5, LIDAR: 0.5})
    return Result(frame, {}, {}, None, 0.0, segmentation, 0.0)


def rows_after(report: Report, seconds: float) -> list[tuple[Availability, float, str]]:
    now = STAMP + round(seconds * SECOND)
    for modality in (RGB, DEPTH, LIDAR):
        report.monitors[modality].hear(now)
    status = idle_status(message, report, None, now)
    return [(Availability(r.availability), r.weight, r.reason) for r in status.modalities]


def test_between_frames_sensors_that_are_heard_are_what_they_were(report: Report) -> None:
    report.interval = 1.0
    report.judge(half_camera(), STAMP)
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
