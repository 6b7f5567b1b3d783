"""`any2seg demo`."""

from __future__ import annotations

from any2seg_ros.cli import main
from any2seg_ros.commands import demo


def test_without_ros_it_says_what_to_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 2
    assert "no rclpy: run `any2seg doctor`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_phase_has_a_least_length(capsys):
    assert main(["demo", "--seconds", "0.5"]) == 2
    assert "--seconds" in capsys.readouterr().err
