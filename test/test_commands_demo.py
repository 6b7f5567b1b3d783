"""`any2seg demo`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

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


def test_sigterm_ends_the_demo_as_ctrl_c_does_while_the_node_starts(tmp_path):
    """A process of its own gets the signal, as from `timeout`."""
    pytest.importorskip("rclpy", reason="the demo starts the node: needs rclpy")
    command = [sys.executable, "-m", "any2seg_ros.cli", "demo", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while not (tmp_path / "node.log").exists() and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.wait(100)
        finally:
            process.kill()
    assert process.returncode == 130


GOOD = {
    "phases": [{"frames_published": 0}, {"frames_published": 80}],
    "node_exit_code": 0, "masks_without_sensors": 0, "masks_with_wrong_status": 0,
}  # fmt: skip
BAD = {
    "node_exit_code is -9, not 0": {"node_exit_code": -9},
    "masks_without_sensors is 3, not 0": {"masks_without_sensors": 3},
    "masks_with_wrong_status is 1, not 0": {"masks_with_wrong_status": 1},
    "no mask came": {"phases": [{"frames_published": 0}]},
}


def test_a_demo_that_went_well_exits_with_0(monkeypatch):
    pytest.importorskip("rclpy", reason="the demo needs rclpy")
    from any2seg_ros.demo import run as running

    monkeypatch.setattr(running, "run", lambda _: GOOD)
    assert main(["demo"]) == 0


@pytest.mark.parametrize("line", BAD)
def test_a_demo_that_went_wrong_exits_with_1_and_says_what_did(line, monkeypatch, capsys):
    pytest.importorskip("rclpy", reason="the demo needs rclpy")
    from any2seg_ros.demo import run as running

    monkeypatch.setattr(running, "run", lambda _: GOOD | BAD[line])
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == f"any2seg: the demo failed: {line}\n"
