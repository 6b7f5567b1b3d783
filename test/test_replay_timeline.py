"""Curves over time in a bounded number of buckets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from any2seg_ros.metrics import Confusion
from any2seg_ros.replay.timeline import Timeline, series, weight_series
from any2seg_ros.types import Modality, Segmentation

LABEL = np.zeros((2, 2), np.uint8)


def mask(confidence: float, rgb: float) -> Segmentation:
    weights = {Modality.RGB: rgb, Modality.LIDAR: 1 - rgb}
    return Segmentation(LABEL, np.full((2, 2), confidence, np.float32), weights)


def test_a_bucket_has_the_rate_and_the_means_of_its_frames():
    timeline = Timeline(width=0.5)
    timeline.add(0.1, mask(0.4, 0.2), Confusion(25).add(LABEL, LABEL))
    timeline.add(0.2, mask(0.8, 0.6), Confusion(25).add(LABEL, LABEL + 1))
    timeline.add(0.3, None, None)
    (row,) = timeline.rows()
    assert (row["begin"], row["end"], row["frames"], row["blind"]) == (0.0, 0.5, 2, 1)
    assert row["rate_hz"] == 4.0 and row["miou"] == 50.0
    assert row["confidence"] == pytest.approx(0.6)
    assert row["weights"]["rgb"] == pytest.approx(0.4) and row["weights"]["depth"] == 0.0


def test_a_long_drive_has_wider_buckets_and_loses_no_frame():
    timeline = Timeline(width=0.5, buckets=10)
    for tenth in range(1000):
        timeline.add(tenth / 10, mask(0.5, 0.5), None)
    rows = timeline.rows()
    assert len(rows) <= 10 and sum(row["frames"] for row in rows) == 1000
    assert timeline.width == 16.0 and all(row["rate_hz"] == 10.0 for row in rows[:-1])


def test_stamps_before_the_beginning_count_to_the_first_bucket():
    timeline = Timeline()
    timeline.add(-3.0, mask(0.5, 0.5), None)
    assert timeline.rows()[0]["begin"] == 0.0


def test_curves_run_through_the_middles_and_break_where_there_is_no_value():
    timeline = Timeline(width=1.0)
    timeline.add(0.5, mask(0.5, 0.25), None)
    timeline.add(1.5, None, None)
    times, confidence = series(timeline.rows(), "confidence")
    assert times == [0.5, 1.5] and confidence[0] == 0.5 and math.isnan(confidence[1])
    assert weight_series(timeline.rows())["lidar"][1] == [0.75, 0.0]
