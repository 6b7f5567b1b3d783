"""Start-up: CPU time and memory from the command to the first mask, with and without caches.

python -m any2seg_ros.bench.startup --node
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from any2seg_ros import resources
from any2seg_ros.demo.process import NodeProcess, isolate, resident_mib

SECTION = "startup"

_LIMIT_S = 600.0


def run(node: bool = True) -> dict[str, Any]:
    """CPU seconds, wall seconds and peak resident MiB of processes that make a mask.

    first: empty caches, graphs are converted with torch and loops are compiled. again: all cached.
    damaged: 20 bits of each cached graph are flipped. read_only: nothing can be cached. node: the
    node as a process on the demo bag, if there is a ROS; see `node_start`.
    """
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.safetensors"  # beside which no graphs are
        shutil.copy(resources.find("models/any2seg_real.safetensors"), weights)
        kept = {
            "ANY2SEG_CACHE": str(folder / "graphs"),
            "NUMBA_CACHE_DIR": str(folder / "loops"),
        }
        figures["first"] = process(weights, kept)
        figures["again"] = process(weights, kept)
        for graph in (folder / "graphs").rglob("*.graph"):
            flip_bits(graph, 20)
        figures["damaged"] = process(weights, kept)
        figures["read_only"] = process(weights, kept | {"ANY2SEG_CACHE": "/proc/nothing"})
        if node:
            figures["node"] = node_start(kept)
    return figures


def process(weights: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Cost of a Python process that imports what the node imports and makes a mask."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "any2seg_ros.bench.startup", "--child", str(weights)],
        stdout=subprocess.PIPE,
        env={**os.environ, **variables},
        text=True,
    )
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise ChildProcessError(
            f"the process that makes a mask exited with code {child.returncode}"
        )
    return {
        "processor_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(time.perf_counter() - began, 2),
        "most_mib": round(usage.ru_maxrss / 1024),
        **json.loads(output.splitlines()[-1]),
    }


def child(weights: Path) -> dict[str, Any]:
    """CPU seconds of each part of a start, and the resident memory after it."""
    parts: dict[str, float] = {"python": _processor_s()}
    with _part("imports", parts):
        import numpy as np

        from any2seg_ros.engine import EngineConfig, Segmenter
        from any2seg_ros.types import Modality
    with _part("weights", parts):
        segmenter = Segmenter.open(EngineConfig(str(weights), "openvino"))
    with _part("graphs", parts):
        segmenter.prepare()
    with _part("mask", parts):
        width, height = segmenter.size
        image = np.zeros((3, height, width), np.float32)
        segmenter.segment(dict.fromkeys(Modality, image), (512, 288))
    return {
        "parts_s": {name: round(seconds, 2) for name, seconds in parts.items()},
        "resident_mib": round(resident_mib()),
        "threads": len(os.listdir("/proc/self/task")),
        "torch": "torch" in sys.modules,
    }


@contextmanager
def _part(name: str, parts: dict[str, float]) -> Iterator[None]:
    began = _processor_s()
    yield
    parts[name] = _processor_s() - began


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def flip_bits(path: Path, count: int) -> None:
    """Flip `count` bits of a file, always the same ones."""
    content = bytearray(path.read_bytes())
    generator = random.Random(0)
    for _ in range(count):
        content[generator.randrange(4096, len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def node_start(variables: Mapping[str, str]) -> dict[str, Any]:
    """Cost of the node process until its first mask arrives over DDS, playing the demo bag.

    Started, and started again after kill -9, as the launch file does with `respawn`, as long after
    it. wall_s: from the command, and from the kill. CPU time is all that the node has used until
    then.
    """
    try:
        import rclpy
    except ImportError as error:
        return {"missing": str(error)}
    isolate()
    from rclpy.executors import SingleThreadedExecutor

    rclpy.init()
    listener, player_node = rclpy.create_node("startup"), rclpy.create_node("startup_player")
    masks: list[float] = []
    _listen(listener, masks)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    stop = threading.Event()
    playing = threading.Thread(target=_play, args=(player_node, stop), daemon=True)
    playing.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return started_and_killed(Path(folder), masks, variables)
    finally:
        stop.set()
        playing.join(15)
        executor.shutdown()
        thread.join(5)
        rclpy.shutdown()


def started_and_killed(
    folder: Path, masks: list[float], variables: Mapping[str, str]
) -> dict[str, Any]:
    """Figures of a start and of one after kill -9; logs go to `folder`, times of masks come in."""
    from any2seg_ros.node.launching import RESPAWN_DELAY_S

    return {
        name: _until_a_mask(folder / f"{name}.log", masks, variables, delay)
        for name, delay in (("start", 0.0), ("after_kill", RESPAWN_DELAY_S))
    }


def _until_a_mask(
    log: Path, masks: list[float], variables: Mapping[str, str], delay: float
) -> dict[str, Any]:
    """Start the node after `delay` s, which count, wait for a mask, and kill it."""
    arguments = ["--ros-args", "--params-file", str(resources.find("config/demo.yaml"))]
    began = time.monotonic()
    time.sleep(delay)
    masks.clear()
    with NodeProcess(log, arguments, variables) as process:
        process.wait_until(lambda: masks, _LIMIT_S, "mask from the node")
        figures = {
            "wall_s": round(masks[0] - began, 2),
            "processor_s": round(process.cpu_seconds(), 2),
            "resident_mib": round(process.memory_mib()),
        }
        process.stop(number=signal.SIGKILL)
    return figures


def _listen(node: Any, masks: list[float]) -> None:
    from sensor_msgs.msg import Image

    def on_mask(_: Any) -> None:
        masks.append(time.monotonic())

    node.create_subscription(Image, "/segmenter/mask", on_mask, 5)


def _play(node: Any, stop: threading.Event) -> None:
    """Play the demo bag until `stop` is set."""
    from any2seg_ros.demo.player import Player, SensorLog
    from any2seg_ros.demo.schedule import ALL, Phase

    player = Player(node, SensorLog(resources.find("demo_data/streets")))
    while not stop.is_set():
        player.play([Phase("startup", ALL, 8.0)], lambda index, seconds: None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", metavar="WEIGHTS", help="run as the measured process")
    parser.add_argument(
        "--node", action="store_true", help="measure the node only, with the present cache"
    )
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(child(Path(chosen.child))))
    else:
        print(json.dumps(node_start({}) if chosen.node else run(), indent=2))
