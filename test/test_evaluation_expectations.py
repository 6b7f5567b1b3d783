"""Expected mIoU over sensors that fail at random."""

from __future__ import annotations

import pytest

from any2seg_ros.evaluation.expectations import expectations, expected_miou
from any2seg_ros.types import Modality, all_subsets

RGB, DEPTH = Modality.RGB, Modality.DEPTH


def test_two_modalities_by_hand():
    # p = 0.2: weights .2 x .8 = .16 for each single one, .64 for both; the empty set is left out.
    miou = {(RGB,): 40.0, (DEPTH,): 20.0, (RGB, DEPTH): 60.0}
    by_hand = (0.16 * 40 + 0.16 * 20 + 0.64 * 60) / (0.16 + 0.16 + 0.64)
    assert expected_miou(miou, 0.2) == pytest.approx(by_hand)


def test_all_subsets_alike_give_that_value_and_rare_failures_approach_the_full_set():
    subsets = all_subsets()
    assert expected_miou(dict.fromkeys(subsets, 37.0), 0.1) == pytest.approx(37.0)
    miou = {subset: 10.0 * len(subset) for subset in subsets}
    values = expectations(miou)
    assert list(values) == ["0.2", "0.1", "0.05", "mean"]
    assert values["0.2"] < values["0.1"] < values["0.05"] < 40.0
    assert values["mean"] == pytest.approx((values["0.2"] + values["0.1"] + values["0.05"]) / 3)


def test_a_table_that_lacks_a_subset_has_no_expectation():
    with pytest.raises(ValueError, match="2 subsets are not all 3"):
        expected_miou({(RGB,): 40.0, (RGB, DEPTH): 60.0}, 0.1)
