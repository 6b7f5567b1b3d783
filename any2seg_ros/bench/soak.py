"""Drives the node over DDS for minutes: memory, queue and CPU time per frame.

Four sensors at 10 Hz are published from a process of their own; the node is another process. The
figures are the node's: resident memory at the beginning and at the end, frames that waited, frames
published, and CPU time a frame.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from any2seg_ros.resources import find

SECTION = "soak"
_MINUTES = "ANY2SEG_SOAK_MINUTES"
_RATE = 10
_SETTLE_S = 20.0
_SAMPLE_S = 5.0


def run() -> dict[str, Any]:
    """The figures of ten minutes, or of as many as ANY2SEG_SOAK_MINUTES says."""
    return soak(float(os.environ.get(_MINUTES, "10")))


def soak(minutes: float, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run the node for `minutes`; `arguments` are further ROS arguments of the node."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["ROS_DOMAIN_ID"] = str(100 + os.getpid() % 100)
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    stop = spawn.Event()
    driver = spawn.Process(target=_drive, args=(sender, stop), daemon=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "node.log"
        with open(log, "wb") as file:
            node = subprocess.Popen(_command(arguments), stdout=file, stderr=subprocess.STDOUT)
        driver.start()
        try:
            return _watch(node, receiver, minutes, log)
        finally:
            stop.set()
            _end(node)
            driver.join(20)


def _command(arguments: tuple[str, ...]) -> list[str]:
    parameters = str(find("config/demo.yaml"))
    node = [sys.executable, "-m", "any2seg_ros.node.segmenter"]
    return [*node, "--ros-args", "--params-file", parameters, *arguments]


def _watch(node: subprocess.Popen, receiver: Any, minutes: float, log: Path) -> dict[str, Any]:
    console = Console()
    heard = _Heard(receiver)
    while heard.published < 1:
        if node.poll() is not None:
            raise RuntimeError(f"the node ended by itself: {log.read_text()[-2000:]}")
        heard.take(1.0)
    heard.take(_SETTLE_S)
    first, cpu, memory = heard.last, _cpu_seconds(node.pid), []
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < 60.0 * minutes:
        heard.take(min(_SAMPLE_S, 60.0 * minutes - seconds))
        if node.poll() is not None:
            raise RuntimeError(f"the node ended by itself: {log.read_text()[-2000:]}")
        memory.append(_memory_mib(node.pid))
        console.print(f"{seconds / 60:5.1f} min  {memory[-1]:.0f} MiB  {heard.last}")
    last = heard.last
    frames = last["published"] - first["published"]
    third = max(1, len(memory) // 3)
    return {
        "minutes": minutes,
        "frames_in": last["frames_in"] - first["frames_in"],
        "frames_published": frames,
        "dropped_busy": last["busy"] - first["busy"],
        "dropped_late": last["late"] - first["late"],
        "latency_total_ms": {p: heard.latency_ms(q) for p, q in (("p50", 50), ("p90", 90))},
        "cpu_ms_per_frame": 1e3 * (_cpu_seconds(node.pid) - cpu) / max(1, frames),
        "memory_mib": {"first": memory[0], "last": memory[-1], "largest": max(memory)},
        "memory_growth_mib": float(np.median(memory[-third:]) - np.median(memory[:third])),
    }


class _Heard:
    """What the driver heard of the node's status: the last counters and all latencies."""

    def __init__(self, receiver: Any) -> None:
        self.last: dict[str, int] = {"published": 0}
        self._receiver = receiver
        self._latencies: list[float] = []

    @property
    def published(self) -> int:
        return self.last["published"]

    def take(self, seconds: float) -> None:
        """Listen for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._receiver.poll(left):
                values = json.loads(self._receiver.recv())
                self._latencies.append(values.pop("latency"))
                self.last = values

    def latency_ms(self, percentile: float) -> float:
        return float(1e3 * np.percentile(self._latencies, percentile))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _end(node: subprocess.Popen) -> None:
    if node.poll() is None:
        node.send_signal(signal.SIGINT)
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()


def _drive(sender: Any, stop: Any) -> None:
    """The other process: plays the demo's bag again and again, and hears status and outputs."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    from any2seg_ros.demo.player import Tape
    from any2seg_ros.msg import SegmentationStatus

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("soak")

    def tell(status: Any) -> None:
        counted = {
            "frames_in": status.frames_in,
            "published": status.frames_published,
            "busy": status.dropped_busy,
            "late": status.dropped_late,
            "latency": status.latency_total,
        }
        sender.send(json.dumps(counted))

    node.create_subscription(SegmentationStatus, "/segmenter/status", tell, 50)
    for name in ("mask", "confidence", "overlay"):
        node.create_subscription(Image, f"/segmenter/{name}", lambda msg: None, 5)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    tape = Tape(find("demo_data/streets"))
    _play(node, executor, tape, stop)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()


def _play(node: Any, executor: Any, tape: Any, stop: Any) -> None:
    from any2seg_ros.demo.player import Phase, Player
    from any2seg_ros.modalities import Modality

    player = Player(node, tape)
    length = max(message.due for message in tape.messages) * 1e-9

    class _Stopped(Exception):
        pass

    def tick(index: int, seconds: float) -> None:
        executor.spin_once(timeout_sec=0.0)
        if stop.is_set():
            raise _Stopped

    while not stop.is_set():
        try:
            player.play([Phase("soak", tuple(Modality), length + 1.0 / _RATE)], tick)
        except _Stopped:
            return
