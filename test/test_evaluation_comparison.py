"""The pages of one and of two evaluations."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from test_html_elements import Reader

from any2seg_ros.commands.evaluate import _signed, show, show_comparison
from any2seg_ros.evaluation.comparison import compare, comparison_page, remarks
from any2seg_ros.evaluation.page import evaluation_page
from any2seg_ros.evaluation.summary import Context, dumps, summarize
from any2seg_ros.evaluation.tally import Extremes, Shown, Tally
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Segmentation, all_subsets


@pytest.fixture(scope="module")
def tally() -> Tally:
    """Three frames whose masks get better with every sensor."""
    rng = np.random.default_rng(0)
    tally = Tally(ClassGroups.of_classes(DELIVER))
    for index in range(3):
        label = rng.integers(0, 20, (24, 32)).astype(np.uint8)
        found = {}
        for subset in all_subsets():
            right = rng.random(label.shape) < 0.2 * len(subset)
            labels = np.where(right, label, rng.integers(0, 25, label.shape)).astype(np.uint8)
            confidence = np.full(label.shape, 0.2 * len(subset), np.float32)
            found[subset] = Segmentation(labels, confidence, dict.fromkeys(subset, 0.5))
        tally.add(label, found, ["fog"] if index else ["night"])
    tally.left_out["no <label>"] = 2
    return tally


def report(tally: Tally, **rest) -> dict:
    options = {"protocol": "drop", "notes": ["topic lidar/points is missing"], **rest}
    return summarize(tally, Context("net", "data", "val", taxonomy=DELIVER, **options))


def test_the_page_says_what_was_left_out_and_has_every_subset(tally):
    image = np.zeros((8, 8, 3), np.uint8)
    extremes = Extremes(1, [Shown(51.0, "good", {"truth": image})], [Shown(3.0, "bad", {})])
    words = " ".join(Reader(evaluation_page(report(tally, partial=True), extremes)).words)
    for expected in (
        "2 frames left out: no <label>",
        "topic lidar/points is missing",
        "Partial: the evaluation was interrupted",
        "rgb+depth+lidar+event",
        "fog (2)",
        "good: 51.0 %",
        "bad: 3.0 %",
    ):
        assert expected in words


def test_a_report_without_noise_tables_and_conditions_has_a_page_too(tally):
    bare = {**report(tally), "conditions": {}, "nm": None, "rmm": None, "rmm_by_probability": None}
    assert "NM" not in Reader(evaluation_page(bare)).words


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


def test_the_command_prints_and_writes_the_comparison(tally, tmp_path, capsys):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(dumps(report(tally)))
    better = report(tally)
    better["subsets"]["event"]["miou"] += 1.25
    second.write_text(dumps(better))
    show_comparison(first, second, tmp_path)
    assert "+1.25" in capsys.readouterr().out
    assert "+1.25" in (tmp_path / "comparison.html").read_text()


def test_the_command_prints_every_subset_and_what_was_left_out(tally, tmp_path, capsys):
    show(report(tally, partial=True), tmp_path)
    said = capsys.readouterr().out
    for expected in ("rgb+depth+lidar+event", "worst", "EMM", "no <label>", "partial"):
        assert expected in said
