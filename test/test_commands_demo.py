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
