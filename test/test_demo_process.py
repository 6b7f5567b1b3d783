"""The node as a process: it is started, watched, stopped, and its end is explained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="starts the node: needs rclpy")

import ros_vehicle

from any2seg_ros.demo.process import NodeProcess, isolate, resident_mib


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    ros_vehicle.isolate(monkeypatch)


def test_topics_stay_in_a_domain_of_their_own_on_this_host(monkeypatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")  # a vehicle's
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE")
    isolate()
    assert 10 <= int(os.environ["ROS_DOMAIN_ID"]) < 100
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    isolate(3)
    assert os.environ["ROS_DOMAIN_ID"] == "3"


def test_resident_memory_grows_by_what_is_written() -> None:
    before = resident_mib()
    kept = np.ones(12_500_000)
    assert 80 < resident_mib() - before < 120 and kept.size


def ended(node: NodeProcess) -> bool:
    end = time.monotonic() + 60
    while node.lives and time.monotonic() < end:
        time.sleep(0.05)
    return not node.lives


def test_a_node_that_ends_is_explained_with_the_end_of_its_log(tmp_path: Path) -> None:
    arguments = ["--ros-args", "--params-file", str(tmp_path / "absent.yaml")]
    with NodeProcess(tmp_path / "node.log", arguments) as node:
        assert ended(node)
        with pytest.raises(ChildProcessError, match=r"exited with code (?s:.*)absent\.yaml"):
            node.check()
        with pytest.raises(ChildProcessError):
            node.wait_until(lambda: False, 30.0, "status")


def test_leaving_the_block_stops_a_running_node(tmp_path: Path) -> None:
    arguments = ["--ros-args", "-p", "autostart:=false"]
    with NodeProcess(tmp_path / "node.log", arguments, {"A_VARIABLE": "set"}) as node:
        with pytest.raises(TimeoutError, match="no status within 1 s: see .*node.log"):
            node.wait_until(lambda: False, 1.0, "status")
        assert node.lives and node.cpu_seconds() > 0 and node.memory_mib() > 5
        environment = Path(f"/proc/{node.pid}/environ").read_bytes()
        assert b"A_VARIABLE=set" in environment
    assert not node.lives and node.memory_mib() == 0
    assert node.exit_code == node.stop()


STARTER = """
import sys, time
from pathlib import Path
from any2seg_ros.demo.process import NodeProcess
with NodeProcess(Path(sys.argv[1]), ["--ros-args", "-p", "autostart:=false"]) as node:
    print(node.pid, flush=True)
    time.sleep(300)
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's end")
def test_a_node_ends_with_the_process_that_started_it_even_if_that_is_killed(
    tmp_path: Path,
) -> None:
    """A process of its own is killed, which can clean up nothing."""
    command = [sys.executable, "-c", STARTER, str(tmp_path / "node.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        pid = int(starter.stdout.readline())
        starter.kill()
    end = time.monotonic() + 60
    while runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    left = runs(pid)
    if left:
        os.kill(pid, signal.SIGKILL)
    assert not left
