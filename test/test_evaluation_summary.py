"""report.json of an evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_reports import report, small_tally

from any2seg_ros.evaluation.page import evaluation_page
from any2seg_ros.evaluation.summary import Context, check, dumps, load, number_or_none, summarize
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality, Segmentation


@pytest.fixture(scope="module")
def tally() -> Tally:
    return small_tally()


def test_a_report_keeps_its_schema_and_is_strict_json(tally, tmp_path):
    made = report(tally)
    assert check(made) == []
    text = dumps({**made, "mean": float("nan")})
    assert json.loads(text, parse_constant=pytest.fail)["mean"] is None
    (tmp_path / "report.json").write_text(dumps(made))
    assert load(tmp_path) == load(tmp_path / "report.json") == json.loads(dumps(made))


def test_more_sensors_score_higher_and_the_worst_subset_is_named(tally):
    made = report(tally)
    assert made["subsets"]["rgb+depth+lidar+event"]["miou"] > made["subsets"]["rgb"]["miou"]
    assert made["worst"]["miou"] == min(row["miou"] for row in made["subsets"].values())
    assert made["mean"] == pytest.approx(sum(row["miou"] for row in made["subsets"].values()) / 15)


def test_a_class_without_a_label_has_no_iou(tally):
    classes = report(tally)["classes"]
    assert classes["Truck"]["pixels"] == 0 and classes["Truck"]["iou"] is None
    assert classes["Road"]["iou"] > 0


def test_an_evaluation_of_nothing_is_an_error_that_says_why():
    tally = Tally(25, (Modality.RGB,))
    tally.leave_out("a file is missing", "img/7.png")
    context = Context("net", "data", "val", "drop", DELIVER)
    with pytest.raises(ValueError, match=r"no frame .* 1 x a file is missing \(img/7.png\)"):
        summarize(tally, context)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"mean": "high"}, "'mean' is str, not int"),
        ({"subsets": {"rgb": {}}}, "subset rgb has no 'miou'"),
        ({"kind": None}, "'kind' is NoneType, not str"),
    ],
)
def test_what_is_wrong_with_a_report_is_said(tally, change, problem):
    assert check({**report(tally), **change})[0] == problem
    assert check([]) == ["it is not an object"]


def test_a_number_that_json_does_not_have_is_none():
    assert [number_or_none(v) for v in (1, 2.5, float("inf"), float("nan"))] == [1, 2.5, None, None]


def test_of_a_sensor_alone_nothing_is_zeroed():
    tally = Tally(25, (Modality.RGB,))
    labels, confidence = np.zeros((4, 6), np.uint8), np.full((4, 6), 0.5, np.float32)
    tally.add(labels, {(Modality.RGB,): Segmentation(labels, confidence, {Modality.RGB: 1.0})}, [])
    tally.rmm = {0.25: {}, 0.5: {}}
    made = report(tally)
    assert made["calibration"]["rmm"] is made["rmm"] is made["rmm_by_probability"] is None
    assert "<h3>RMM" not in evaluation_page(made)
