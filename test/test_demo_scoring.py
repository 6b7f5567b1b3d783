"""Scoring of a recorded run: rate, latency, mIoU, loss of all sensors and recovery."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the demo plays over DDS: needs rclpy")


from any2seg_ros.demo.recorder import RecordedImage, RecordedStatus, Recording
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.demo.scoring import Run, score
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality

SECOND = 1_000_000_000
PERIOD = SECOND // 10
START = 1_700_000_000 * SECOND
LATENCY = 40_000_000


PHASES = (
    Phase("all four", tuple(Modality), 1.0),
    Phase("nothing", (), 1.0),
    Phase("all back", tuple(Modality), 1.0),
)
TRUTH = {k * PERIOD: np.full((4, 6), k % 3, np.uint8) for k in range(10)}


def recorded_run(wrong_labels: bool = False, name: tuple[Modality, ...] = tuple(Modality)) -> Run:
    """Ten masks in the first and five in the last phase, each LATENCY after its stamp."""
    recording = Recording()
    for phase, frames in ((0, range(10)), (2, range(5, 10))):
        for k in frames:
            stamp = START + phase * SECOND + k * PERIOD
            label = TRUTH[k * PERIOD]
            pixels = (label + 1) % 3 if wrong_labels else label
            recording.masks.append(RecordedImage(stamp + LATENCY, stamp, "camera", pixels))
            weights = {m: 1 / len(name) for m in name}
            recording.statuses.append(RecordedStatus(stamp + LATENCY, stamp, weights, {}, 0.8))
    recording.statuses.append(RecordedStatus(START + SECOND + 300_000_000, 0, {}, {}, 0.0))
    starts = [START + k * SECOND for k in range(3)]
    first = {(2, modality): START + 2 * SECOND for modality in Modality}
    return Run(PHASES, starts, first, recording, TRUTH, 0)


def test_rate_latency_and_miou_are_counted_by_phase():
    report = score(recorded_run(), DELIVER)
    first, blind, back = report["phases"]
    assert (first["frames_published"], first["frames_expected"]) == (10, 10)
    assert first["latency_ms"]["p90"] == pytest.approx(40)
    assert first["miou"] == pytest.approx(100)
    assert (blind["frames_published"], blind["frames_expected"], blind["miou"]) == (0, 0, None)
    assert (back["frames_published"], back["frames_expected"]) == (5, 10)
    assert first["subset"] == ["rgb", "depth", "lidar", "event"]


def test_wrong_masks_score_nothing():
    assert score(recorded_run(wrong_labels=True), DELIVER)["phases"][0]["miou"] == pytest.approx(0)


def test_recovery_runs_from_the_first_message_to_the_first_mask_that_used_the_sensor():
    assert score(recorded_run(), DELIVER)["recovery_s"] == pytest.approx(0.54)


def test_a_sensor_that_is_never_used_again_has_not_recovered():
    report = score(recorded_run(name=(Modality.RGB,)), DELIVER)
    assert report["recovery_by_sensor_s"]["rgb"] == pytest.approx(0.54)
    assert report["recovery_by_sensor_s"]["lidar"] is None
    assert report["recovery_s"] is None


def test_blindness_is_timed_from_the_last_sensors_silence():
    assert score(recorded_run(), DELIVER)["loss_reported_after_s"] == pytest.approx(0.3)


def test_a_mask_without_a_status_of_its_own_is_counted_as_misnamed():
    run = recorded_run()
    assert score(run, DELIVER)["masks_with_wrong_status"] == 0
    run.recording.statuses.pop(0)
    assert score(run, DELIVER)["masks_with_wrong_status"] == 1
