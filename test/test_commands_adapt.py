"""`any2seg adapt` as typed."""

from __future__ import annotations

from adaptation_data import Place
from test_adaptation_judging import BEFORE as OLD
from test_adaptation_judging import changed

from any2seg_ros.adaptation.config import Margins
from any2seg_ros.adaptation.result import BEFORE, choose
from any2seg_ros.cli import main
from any2seg_ros.commands.adapt import show


def test_it_prints_what_changed_and_where_the_weights_are(tmp_path, capsys):
    show(choose({BEFORE: OLD, "round 1": changed()}, Margins()), tmp_path)
    said = capsys.readouterr().out
    assert "40.0 -> 50.0" in said and "round 1" in said and "report.html" in said.replace("\n", "")


def test_it_prints_why_the_old_ones_stay(tmp_path, capsys):
    show(
        choose({BEFORE: OLD, "round 1": changed(agreement={"rgb+lidar": 1.0})}, Margins()), tmp_path
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "the old weights stay" in said and "agreement between sensors went from" in said


def test_what_is_missing_is_one_line(drive: Place, tmp_path, capsys):
    arguments = ["adapt", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--model", str(drive.weights)]) == 2
    assert "no bag at" in capsys.readouterr().err


def test_labels_and_their_maps_must_match(drive: Place, tmp_path, capsys):
    arguments = ["adapt", "--data", str(drive.bag), "--out", str(tmp_path / "out")]
    given = ["--labels", str(tmp_path), "--label-map", "cityscapes", "--label-map", "kitti"]
    assert main([*arguments, *given]) == 2
    assert "one label map for each folder" in capsys.readouterr().err
