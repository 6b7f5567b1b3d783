"""`any2seg simulate`."""

from __future__ import annotations

from dataclasses import fields

from any2seg_ros.cli import main
from any2seg_ros.commands.simulate import SimulateOptions
from any2seg_ros.simulation.job import Options


def test_the_command_s_options_and_defaults_are_those_of_the_job():
    mine, its = SimulateOptions(out="x"), Options(out="x")
    assert {field.name for field in fields(mine)} == {field.name for field in fields(its)}
    assert vars(mine) == vars(its)


def test_options_that_do_not_fit_together_are_refused(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["simulate", "--out", out, "--verify"]) == 2
    assert "add --recipe" in capsys.readouterr().err
    assert main(["simulate", "--out", out, "--format", "zip"]) == 2
    assert "unknown format 'zip'" in capsys.readouterr().err
