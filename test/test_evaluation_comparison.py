"""Two evaluations side by side."""

from __future__ import annotations

import copy

import pytest
from evaluation_reports import report, small_tally
from html_reader import HOSTILE, Reader, check_escaped

from any2seg_ros.commands.evaluate import _signed
from any2seg_ros.evaluation.comparison import compare, comparison_page, remarks
from any2seg_ros.evaluation.tally import Tally


@pytest.fixture(scope="module")
def tally() -> Tally:
    return small_tally()


def test_differences_are_second_minus_first(tally):
    first = report(tally)
    second = copy.deepcopy(first)
    second["subsets"]["rgb"]["miou"] += 2.5
    second["nm"] = {"low": 3.0}
    rows = {(row.table, row.name): row for row in compare(first, second)}
    assert rows["subsets, mIoU %", "rgb"].difference == pytest.approx(2.5)
    assert rows["subsets, mIoU %", "depth"].difference == 0.0
    assert rows["overall", "NM low"].first is None
    assert rows["overall", "NM low"].difference is None
    assert "+2.50" in Reader(comparison_page(first, second)).words


def test_a_larger_calibration_error_is_a_loss(tally):
    first = report(tally)
    second = copy.deepcopy(first)
    second["subsets"]["rgb"]["ece"] += 0.03
    second["subsets"]["depth"]["ece"] -= 0.02
    second["subsets"]["event"]["miou"] += 1.25
    page = comparison_page(first, second)
    assert '<span class="down">+3.00</span>' in page
    assert '<span class="up">-2.00</span>' in page
    assert '<span class="up">+1.25</span>' in page
    colours = {_signed(row) for row in compare(first, second)}
    assert {"[red]+3.00", "[green]-2.00", "[green]+1.25"} <= colours


def test_protocols_are_never_compared_with_each_other(tally):
    with pytest.raises(ValueError, match="differ in their protocol"):
        compare(report(tally), report(tally, protocol="zero"))


def test_other_classes_are_never_compared(tally):
    """A label map makes other classes under the same name."""
    first, second = report(tally), report(tally)
    second["classes"]["Road+RoadLine"] = second["classes"].pop("Road")
    with pytest.raises(ValueError, match="differ in their classes.*only one has Road[)]"):
        compare(first, second)
    with pytest.raises(ValueError, match="only one has Road.RoadLine[)]"):
        compare({**first, "classes": {}}, {**second, "classes": {"Road+RoadLine": {}}})


def test_other_data_and_partial_reports_are_remarked_on(tally):
    other = {**report(tally, partial=True), "split": "test"}
    assert remarks(report(tally), other) == [
        "The reports differ in their split: val (first), test (second).",
        "The second report is partial.",
    ]


def test_what_figures_depend_on_besides_the_model_is_remarked_on(tally):
    first = report(tally, engine="a.safetensors: mit_b0 at 64x64, OpenVINO on CPU, precision bf16")
    same = {**first, "engine": first["engine"].replace("a.", "b."), "model": "b"}
    assert remarks(first, same) == []
    engine = "b.safetensors: mit_b0 at 64x64, torch on cpu, float32"
    other = {**first, "engine": engine, "seed": 3, "left_out": {}}
    assert remarks(first, other) == [
        "The reports differ in their seed: 0 (first), 3 (second).",
        "The reports differ in their frames left out: 2 x no <label> (first), none (second).",
        "The reports differ in their engine: mit_b0 at 64x64, OpenVINO on CPU, precision bf16 "
        "(first), mit_b0 at 64x64, torch on cpu, float32 (second).",
    ]


def test_names_in_the_comparison_are_text(tally):
    first, second = ({**report(tally), "data": HOSTILE, "model": HOSTILE} for _ in range(2))
    first["notes"], second["left_out"] = [HOSTILE], {HOSTILE: 3}
    first["engine"] = f"a: {HOSTILE}"
    for one in (first, second):
        one["conditions"] = {HOSTILE: one["conditions"]["fog"]}
        one["classes"] = {HOSTILE: one["classes"]["Road"]}
    # Model and data of both, the engine, its remark, that on what was left out, conditions, class.
    check_escaped(comparison_page(first, second), times=11)
