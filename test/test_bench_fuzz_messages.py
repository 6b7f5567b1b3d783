"""Mutated messages: nothing is found in some blocks, what is broken is, and runs go on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from any2seg_ros.bench.fuzz.__main__ import Campaign, main
from any2seg_ros.bench.fuzz.messages import BLOCK, MessageTarget, Receiver
from any2seg_ros.bench.fuzz.watching import Finding, Watch
from any2seg_ros.types import Modality


def test_a_thousand_messages_are_taken_or_refused_with_a_reason(tmp_path) -> None:
    campaign = Campaign(tmp_path)
    campaign.run(MessageTarget(), 1000)
    assert campaign.inputs["messages"] >= 1000
    assert not [group for group in campaign.groups if " slow " not in group], campaign.groups


def test_an_exception_that_nobody_thought_of_is_found_though_the_node_catches_it(
    monkeypatch,
) -> None:
    def broken(self, *arguments):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Receiver, "on_camera_info", lambda *_: None)
    monkeypatch.setattr("any2seg_ros.runtime.intake.Intake._check_future", broken)
    found: list[Finding] = []
    MessageTarget(only="lidar").run(np.random.default_rng(0), 0, Watch(), found.append)
    assert any("cannot be read: ZeroDivisionError: by zero" in one.what for one in found)
    assert {one.kind for one in found} == {"exception"}


def test_a_run_goes_on_where_the_last_one_ended(tmp_path) -> None:
    given = ["--only", "messages", "--out", str(tmp_path), "--messages", str(BLOCK)]
    main(given)
    main(given)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["inputs"] == {"messages": 2 * BLOCK} and state["blocks"] == {"messages": 2}


def test_a_run_goes_on_with_the_seed_that_it_began_with(tmp_path, capfd) -> None:
    given = ["--only", "messages", "--out", str(tmp_path), "--messages", "1"]
    assert main([*given, "--seed", "7"]) == main(given) == 0
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["seed"] == Campaign(tmp_path).seed == 7 and state["blocks"] == {"messages": 2}
    assert main([*given, "--seed", "8"]) == 2
    assert "was begun with seed 7" in capfd.readouterr().err
    assert json.loads((tmp_path / "state.json").read_text()) == state


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--only", "massages"], "no target 'massages': messages, parameters,"),
        (["--again", "massages", "3"], "no target 'massages'"),
        (["--again", "messages", "third"], "whole number from 0, not 'third'"),
    ],
)
def test_what_cannot_be_fed_is_told_in_one_line(given, words, tmp_path, capfd) -> None:
    assert main([*given, "--out", str(tmp_path)]) == 2
    out, err = capfd.readouterr()
    assert out == "" and words in err and err.count("\n") == 1


def test_a_block_can_be_made_again(tmp_path, capfd) -> None:
    assert main(["--again", "messages", "3", "--out", str(tmp_path)]) == 0
    assert capfd.readouterr().out.strip() == "nothing"


def test_the_first_camera_is_known_to_the_receiver() -> None:
    calibration = Receiver().intake.tracker.current
    assert calibration.reference is not None and Modality.EVENT in calibration.cameras
