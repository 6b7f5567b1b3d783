"""Expected mIoU over sensors that fail at random."""

from __future__ import annotations

from itertools import combinations

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
    assert list(values) == ["average", "0.2", "0.1", "0.05"]
    assert values["average"] < values["0.2"] < values["0.1"] < values["0.05"] < 40.0
    assert values["average"] == pytest.approx(sum(10.0 * len(s) for s in subsets) / 15)


def test_emm_is_the_benchmark_s_loop_over_missing_modalities():
    # The published loop: every combination of missing modalities but all four, each with the
    # probability of just these being missing; the sum is divided by the sum of probabilities.
    miou = {subset: float(i * i % 47) for i, subset in enumerate(all_subsets())}
    values = expectations(miou)
    for p in (0.2, 0.1, 0.05):
        total = chance = 0.0
        for missing in range(4):
            for gone in combinations(Modality, missing):
                probability = p**missing * (1 - p) ** (4 - missing)
                total += probability * miou[tuple(m for m in Modality if m not in gone)]
                chance += probability
        assert values[f"{p:g}"] == pytest.approx(total / chance)
    assert values["average"] == pytest.approx(sum(miou.values()) / 15)


def test_a_table_that_lacks_a_subset_has_no_expectation():
    with pytest.raises(ValueError, match="2 subsets are not all 3"):
        expected_miou({(RGB,): 40.0, (RGB, DEPTH): 60.0}, 0.1)
