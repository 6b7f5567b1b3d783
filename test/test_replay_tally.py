"""What a replay counts."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.replay.fault_schedule import parse_drops
from any2seg_ros.replay.tally import ReplayTally
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Availability, Frame, Modality, Segmentation

LABEL = np.zeros((4, 6), np.uint8)


def result(found: Segmentation | None, reasons: dict[Modality, str] | None = None) -> Result:
    availability = dict.fromkeys(Modality, Availability.OK)
    availability |= dict.fromkeys(reasons or {}, Availability.INVALID)
    frame = Frame(0, {}, availability, reasons or {})
    return Result(frame, {}, {}, None, 0.0, segmentation=found, infer_s=0.0)


def mask(confidence: float, *subset: Modality, label: int = 0) -> Segmentation:
    labels = np.full_like(LABEL, label)
    sure = np.full(labels.shape, confidence, np.float32)
    return Segmentation(labels, sure, {m: 1 / len(subset) for m in subset})


@pytest.fixture
def tally() -> ReplayTally:
    """Four frames around a failure of the camera between 1 s and 2 s."""
    tally = ReplayTally(DELIVER, parse_drops("rgb@1-2"))
    tally.add(result(mask(0.5, Modality.RGB, Modality.LIDAR)), 0.5, LABEL)
    tally.add(result(mask(0.7, Modality.LIDAR, label=1)), 1.0, LABEL)
    tally.add(result(None, {Modality.LIDAR: "all points are too near: 3"}), 1.5, LABEL)
    tally.add(result(mask(0.9, Modality.RGB)), 9.0, None)
    return tally


def test_frames_masks_and_subsets_are_counted(tally):
    assert (tally.frames, tally.masks, tally.blind, tally.scored) == (4, 3, 1, 2)
    assert tally.subsets == {"rgb+lidar": 1, "lidar": 1, "rgb": 1}
    assert tally.confidence / tally.masks == pytest.approx(0.7)
    assert tally.unavailable == {"lidar: all points are too near": 1}


def test_counts_are_kept_apart_by_the_faults_that_are_active(tally):
    before, during, after = tally.intervals
    assert [(one.masks, one.blind) for one in tally.intervals] == [(1, 0), (1, 1), (1, 0)]
    assert before.confusion.miou() == 100 and during.confusion.miou() == 0
    assert after.confusion is None
    assert tally.confusion.pixels == before.confusion.pixels + during.confusion.pixels


def test_a_frame_s_own_confusion_is_returned_and_none_without_a_label():
    tally = ReplayTally(DELIVER, ())
    assert tally.add(result(mask(0.5, Modality.RGB)), 0.0, LABEL).miou() == 100
    assert tally.add(result(mask(0.5, Modality.RGB)), 0.1, None) is None
    assert tally.add(result(None), 0.2, LABEL) is None


def test_the_timeline_has_every_frame(tally):
    rows = tally.timeline.rows()
    assert sum(row["frames"] for row in rows) == 3 and sum(row["blind"] for row in rows) == 1
