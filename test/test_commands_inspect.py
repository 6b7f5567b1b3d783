"""`any2seg inspect`, as it is typed."""

from __future__ import annotations

import tiny_drive

from any2seg_ros.cli import main
from any2seg_ros.runtime.parameters import load_parameters


def test_a_bag_is_shown_and_its_parameters_are_written(tmp_path, capsys):
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(8))
    file = tmp_path / "vehicle.yaml"
    assert main(["inspect", str(bag), "--write-params", str(file)]) == 0
    said = capsys.readouterr().out
    assert "no problems found" in said and "wrote" in said
    assert "96x64, f 60.0 60.0, c 47.5 31.5, no distortion" in said
    assert load_parameters(file).topics()["lidar"] == "/lidar/points"


def test_problems_come_with_what_to_do(tmp_path, capsys):
    rows = [row for row in tiny_drive.rows(8) if row[1] != "/tf_static"]
    assert main(["inspect", str(tiny_drive.write(tmp_path / "bag", rows))]) == 0
    said = capsys.readouterr().out
    assert "problem: the LiDAR has no transform" in said and "lidar.extrinsics" in said


def test_what_is_no_bag_is_one_line(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "there is no bag at" in error and error.count("\n") == 1
