"""The page of an evaluation."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from evaluation_reports import report, small_tally
from html_reader import HOSTILE, Reader, check_escaped

from any2seg_ros.commands.evaluate import show
from any2seg_ros.evaluation.page import evaluation_page
from any2seg_ros.evaluation.summary import dumps
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.html.gallery import BestAndWorst, ShownFrame
from any2seg_ros.taxonomy import DELIVER, Taxonomy


@pytest.fixture(scope="module")
def tally() -> Tally:
    return small_tally()


CARD_TABLES = Path(__file__).parents[1] / "tools/card_tables.py"
HEAD = "data, split val, mit_b0 at 1024x1024, protocol drop"


def test_the_head_of_every_table_names_split_and_backbone(tally, tmp_path, capsys):
    told = report(tally)
    assert told["split"] == "val" and told["backbone"] == "mit_b0"
    page = evaluation_page(told)
    sections = page.split("<section")[1:]
    with_tables = [part for part in sections if "<table" in part and "At a glance" not in part]
    assert len(with_tables) >= 4
    assert all(HEAD in part for part in with_tables)
    (tmp_path / "report.json").write_text(dumps(told))
    show(told, tmp_path)
    assert HEAD in " ".join(capsys.readouterr().out.split())
    runpy.run_path(str(CARD_TABLES))["main"]([str(tmp_path)])
    tables = [part for part in capsys.readouterr().out.split("\n\n") if part.startswith("|")]
    assert len(tables) == 3
    assert all("val, mit_b0 at 1024x1024, drop" in part.splitlines()[0] for part in tables)


def test_the_page_says_what_was_left_out_and_has_every_subset(tally):
    image = np.zeros((8, 8, 3), np.uint8)
    good, bad = ShownFrame(51.0, "good", {"truth": image}), ShownFrame(3.0, "bad", {})
    gallery = BestAndWorst(1, [good], [bad])
    words = Reader(evaluation_page(report(tally, partial=True), gallery)).text
    for expected in (
        "2 frames left out: no <label>",
        "topic lidar/points is missing",
        "Partial: the evaluation was interrupted",
        "rgb+depth+lidar+event",
        "fog (2)",
        "ECE, worst subset",
        "good: 51.0 %",
        "bad: 3.0 %",
    ):
        assert expected in words


def test_a_report_without_noise_tables_and_conditions_has_a_page_too(tally):
    bare = {**report(tally), "conditions": {}, "nm": None, "rmm": None, "rmm_by_probability": None}
    assert "NM" not in Reader(evaluation_page(bare)).words


def test_names_on_the_page_are_text(tally, monkeypatch):
    hostile = Taxonomy(HOSTILE, (HOSTILE, *DELIVER.classes[1:]), DELIVER.colors)
    monkeypatch.setattr("any2seg_ros.evaluation.page.get", lambda name: hostile)
    told = report(tally, engine=HOSTILE, notes=[HOSTILE])
    told |= {"data": HOSTILE, "split": HOSTILE, "model": HOSTILE, "taxonomy": HOSTILE}
    told |= {"left_out": {HOSTILE: 1}, "conditions": {HOSTILE: told["conditions"]["fog"]}}
    told["classes"] = {HOSTILE: told["classes"]["Road"]}
    for table in ("emm", "nm", "rmm_by_probability"):
        told[table] = {**(told[table] or {}), HOSTILE: {}} if table != "nm" else {HOSTILE: 1.0}
    told["emm"][HOSTILE] = 1.0
    errors = told["calibration"]
    told["calibration"] = {
        "nm": {HOSTILE: 0.1},
        "rmm": {HOSTILE: errors["conditions"]["fog"]},
        "conditions": {HOSTILE: errors["conditions"]["fog"]},
    }
    image = np.zeros((8, 8, 3), np.uint8)
    frame = ShownFrame(51.0, HOSTILE, {HOSTILE: image})
    page = evaluation_page(told, BestAndWorst(1, [frame], [frame]))
    # Model, data, split, engine, 2 notes, condition, class twice, p twice, RMM, NM, and of each of
    # two frames its name and picture, and the class in the legend.
    check_escaped(page, times=18)
