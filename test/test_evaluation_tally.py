"""Counts of an evaluation: what is counted, and that they add up."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.html.gallery import ShownFrame
from any2seg_ros.types import Modality, Segmentation, all_subsets

RGB, LIDAR = (Modality.RGB,), (Modality.LIDAR,)
BOTH = (Modality.RGB, Modality.LIDAR)
LABEL = np.repeat(np.arange(2, dtype=np.uint8)[:, None], 4, 1)
"""Half of class 0, half of class 1."""


def found(right: bool) -> dict:
    """The camera is right or wrong and decides for both; the LiDAR says class 0 everywhere."""
    camera = LABEL if right else 1 - LABEL
    sure = np.full(LABEL.shape, 0.5, np.float32)
    labels = {RGB: camera, LIDAR: np.zeros_like(LABEL), BOTH: camera}
    return {s: Segmentation(labels[s], sure, dict.fromkeys(s, 1.0)) for s in all_subsets(BOTH)}


def frame(right: bool, *conditions: str) -> Tally:
    tally = Tally(3, BOTH)
    tally.add(LABEL, found(right), conditions)
    return tally


def test_a_frame_s_own_miou_is_that_of_all_sensors():
    tally = Tally(3, BOTH)
    assert tally.add(LABEL, found(True), ()) == 100.0
    assert tally.add(LABEL, found(False), ()) == 0.0
    assert tally.frames == 2
    assert tally.subsets[BOTH].confusion.miou() == pytest.approx(100 / 3)
    assert tally.subsets[LIDAR].confusion.miou() == 25.0


def test_conditions_are_counted_apart_and_do_not_share_their_counts():
    tally = frame(True, "fog", "night")
    tally += frame(False, "fog")
    assert tally.condition_frames == {"fog": 2, "night": 1}
    assert tally.conditions["night"][RGB].miou() == 100.0
    assert tally.conditions["fog"][RGB].miou() == pytest.approx(100 / 3)
    assert tally.conditions["fog"][RGB].confusion.pixels == 2 * LABEL.size
    assert tally.conditions["night"][RGB].ece() == pytest.approx(0.5, abs=2e-3)  # right, half sure
    assert tally.conditions["fog"][RGB].ece() == pytest.approx(0, abs=2e-3)  # every second is right


def test_skipped_frames_are_counted_by_reason_with_the_first_example():
    tally, other = Tally(3, BOTH), Tally(3, BOTH)
    tally.leave_out("a file is missing", "b.png")
    other.leave_out("a file is missing", "a.png")
    other.leave_out("no ground truth")
    tally += other
    assert tally.left_out == {"a file is missing": 2, "no ground truth": 1}
    assert tally.examples == {"a file is missing": "a.png"}


def test_noise_tables_add_up():
    tally, other = Tally(3, BOTH), Tally(3, BOTH)
    for one, right in ((tally, True), (other, False)):
        one.add_rmm(LABEL, 0.5, {RGB: found(right)[RGB]})
        one.add_nm(LABEL, "low", found(right)[BOTH])
    tally += other
    assert tally.rmm[0.5][RGB].miou() == tally.nm["low"].miou() == pytest.approx(100 / 3)
    assert tally.rmm[0.5][RGB].ece() == tally.nm["low"].ece() == pytest.approx(0, abs=2e-3)
    assert other.nm["low"].ece() == pytest.approx(0.5, abs=2e-3)


def test_the_best_and_the_worst_frames_are_those_of_all_parts():
    tally, other = frame(True), frame(False)
    tally.gallery.add(ShownFrame(100.0, "a", {}))
    other.gallery.add(ShownFrame(0.0, "b", {}))
    tally += other
    assert [one.name for one in tally.gallery.best] == ["a", "b"]
    assert [one.name for one in tally.gallery.worst] == ["b", "a"]


def test_counts_of_different_things_do_not_add_up():
    tally = Tally(3, BOTH)
    for other in (Tally(4, BOTH), Tally(3, RGB)):
        with pytest.raises(ValueError, match="different classes or modalities"):
            tally += other
