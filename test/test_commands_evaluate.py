"""What `any2seg evaluate` prints, and what it refuses."""

from __future__ import annotations

import pytest
from evaluation_reports import report, small_tally

from any2seg_ros.cli import main
from any2seg_ros.commands.evaluate import show, show_comparison
from any2seg_ros.evaluation.summary import dumps
from any2seg_ros.evaluation.tally import Tally


@pytest.fixture(scope="module")
def tally() -> Tally:
    return small_tally()


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
    assert "ECE, all sensors" in said and "ECE, worst subset" in said
    for expected in ("rgb+depth+lidar+event", "worst", "EMM", "no <label>", "partial"):
        assert expected in said


def test_without_data_it_says_what_to_add(capsys):
    assert main(["evaluate"]) == 2
    assert "--data PATH" in capsys.readouterr().err
