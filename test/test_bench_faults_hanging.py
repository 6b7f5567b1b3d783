"""One thread of a process stands still, and the others go on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from any2seg_ros.bench.faults import hanging

SCRIPT = """
import threading, time
from any2seg_ros.node.worker import Worker
worker = Worker(lambda frame: print("frame", flush=True), print)
while True:
    worker.submit(1)
    print("main", flush=True)
    time.sleep(0.02)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        while one.stdout.readline() != "frame\n":
            assert one.poll() is None
        yield one
        one.kill()


def lines(process: subprocess.Popen, count: int) -> list[str]:
    return [process.stdout.readline().strip() for _ in range(count)]


def test_only_the_thread_that_segments_stands_still_and_it_goes_on_afterwards(process) -> None:
    try:
        with hanging.stopped(hanging.inference_thread(process.pid)):
            time.sleep(0.3)
            lines(process, 2)
            # What was in the pipe before is over by then.
            assert lines(process, 40)[-5:] == ["main"] * 5
    except PermissionError:
        pytest.skip("the kernel forbids tracing")
    assert "frame" in lines(process, 100)


def test_a_thread_can_be_caught_again_and_again(process) -> None:
    asked: list[float] = []

    def is_caught() -> bool:
        asked.append(time.monotonic())
        time.sleep(0.1)
        return len(asked) == 4

    try:
        with hanging.inference_stopped(process.pid, is_caught):
            lines(process, 2)
    except PermissionError:
        pytest.skip("the kernel forbids tracing")
    assert len(asked) == 4 and "frame" in lines(process, 200)


def test_a_process_that_ends_while_its_thread_is_held_is_seen_to_end(process) -> None:
    try:
        with hanging.stopped(hanging.inference_thread(process.pid)):
            process.kill()
            assert process.wait(60) == -9
    except PermissionError:
        pytest.skip("the kernel forbids tracing")


def test_a_process_without_such_a_thread_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with pytest.raises(ProcessLookupError, match="no thread called inference"):
            hanging.inference_thread(process.pid)
        process.kill()
