"""Processor seconds and the steps that they pay for."""

from __future__ import annotations

import sys

import pytest
from training_run import write_data, written

from any2seg_ros.training import budget
from any2seg_ros.training.config import load_config
from any2seg_ros.training.trainer import Trainer


def test_steps_are_what_the_processor_seconds_pay_for():
    assert budget.fit_steps({"steps": 7}, 60, 0.5)["steps"] == 120
    with pytest.raises(ValueError, match="pay for no step"):
        budget.fit_steps({}, 0.1, 0.5)
    with pytest.raises(ValueError, match="make it two stages"):
        budget.fit_steps({"losses": {"subsets_from": 3}}, 60, 0.5)


def test_a_step_s_cost_is_what_is_between_two_runs(tmp_path, monkeypatch):
    spent = {"1": 90.0, "5": 10.0, "25": 42.0}
    monkeypatch.setattr(budget, "processor_seconds", lambda command: spent[command[-1]])
    assert budget.seconds_a_step({"batch": 2}) == 2.0


def test_processor_seconds_are_those_of_the_command():
    code = "import time; end = time.process_time() + 1.0\nwhile time.process_time() < end: pass"
    assert 1.0 <= budget.processor_seconds([sys.executable, "-c", code]) < 60


def test_a_step_of_a_run_costs_what_its_processes_spend(tmp_path):
    place = write_data(tmp_path)
    trainer = Trainer(load_config(written(place, "probe", steps=100, validate_every=100)))
    seconds = budget.seconds_of(trainer)
    assert 0 < seconds < 60 and trainer.step == 1 + budget.SHORT
