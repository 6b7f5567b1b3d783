"""`any2seg train`."""

from __future__ import annotations

from any2seg_ros.cli import main


def test_a_configuration_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["train", str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_a_configuration_that_makes_no_sense_is_refused(tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text("stepps: 3\n")
    assert main(["train", str(path)]) == 2
    assert "stepps" in capsys.readouterr().err
