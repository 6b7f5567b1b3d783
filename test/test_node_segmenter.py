"""The executable's words before there is a node."""

from __future__ import annotations

import signal
import sys

import pytest

from any2seg_ros.node.segmenter import main


@pytest.fixture(autouse=True)
def handlers():
    """Signals are handled as before when a test is over."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_given(word, capsys):
    assert main(["segmenter", word]) == 0
    assert "--ros-args --params-file" in capsys.readouterr().out


def test_words_that_ros_does_not_take_are_refused_with_the_usage(capsys):
    assert main(["segmenter", "--params-file", "vehicle.yaml"]) == 2
    assert "--ros-args --params-file" in capsys.readouterr().out


def test_without_a_ros_it_says_what_to_source_or_to_set_up(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.delitem(sys.modules, "any2seg_ros.node.process", raising=False)
    assert main(["segmenter"]) == 1
    told = capsys.readouterr().err
    assert "rclpy is not there: source a ROS 2, or run `make setup`" in told
