"""The node as a process: it is started, watched, stopped, and its end is explained."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="starts the node: needs rclpy")

import ros_vehicle

from any2seg_ros.demo.process import NodeProcess


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    ros_vehicle.isolate(monkeypatch)


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
        assert node.lives and node.cpu_seconds() > 0
        environment = Path(f"/proc/{node._process.pid}/environ").read_bytes()
        assert b"A_VARIABLE=set" in environment
    assert not node.lives
    assert node.exit_code == node.stop()
