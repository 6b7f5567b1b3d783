"""Plays the demo's drive to a node in a loop; prints its memory, latency and processor time.

python -m any2seg_ros.bench.soak --minutes 2
With sensors of full size: python -m any2seg_ros.bench.vehicle --seconds 600
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros import resources
from any2seg_ros.bench.figures import memory_over_time, percentiles
from any2seg_ros.demo.process import NodeProcess, isolate
from any2seg_ros.demo.schedule import ALL, Phase

SECTION = "soak"

_START_SECONDS = 300.0


@dataclass
class Samples:
    """Samples of the node.

    memory: (time s, resident MiB, CPU s); latencies: (time s, latency s); last: its last status.
    """

    memory: list[tuple[float, float, float]] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    last: Any = None


def run(minutes: float = 10.0, model: str = "", quiet: bool = False) -> dict[str, Any]:
    """Play the demo bag in a loop to a node process and sample it.

    memory_growth_mib_per_minute: slope of the resident memory after the first 30 %. latency_ms:
    from the anchor's arrival to the last output, in the first and last tenth of the frames; they
    differ if a queue grows. cpu_ms_per_frame: CPU time of the node divided by masks.
    """
    isolate()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from any2seg_ros.demo.player import Player, SensorLog
    from any2seg_ros.msg import SegmentationStatus

    rclpy.init()
    node = rclpy.create_node("soak")
    samples = Samples()
    node.create_subscription(
        SegmentationStatus, "/segmenter/status", lambda msg: _on_message(samples, msg), 50
    )
    _listen_to_masks(node)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    arguments = ["--ros-args", "--params-file", str(resources.find("config/demo.yaml"))]
    arguments += ["-p", f"model:={model}"] if model else []
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            NodeProcess(Path(folder) / "node.log", arguments) as process,
        ):
            process.wait_until(lambda: samples.last, _START_SECONDS, "status from the node")
            player_node = rclpy.create_node("soak_player")
            player = Player(player_node, SensorLog(resources.find("demo_data/streets")))
            _play(player, process, samples, minutes, quiet)
            exit_code = process.stop()
            player_node.destroy_node()
    finally:
        executor.shutdown()
        thread.join(5)
        node.destroy_node()
        rclpy.shutdown()
    return summary(samples, minutes, exit_code)


def _listen_to_masks(node: Any) -> None:
    """Subscribe: the node makes only what is subscribed to."""
    from sensor_msgs.msg import Image

    for output in ("mask", "confidence", "overlay"):
        node.create_subscription(Image, f"/segmenter/{output}", lambda msg: None, 5)


def _on_message(samples: Samples, status: Any) -> None:
    fresh = samples.last is None or status.frames_published > samples.last.frames_published
    if fresh and status.frames_published:
        samples.latencies.append((time.monotonic(), float(status.latency_total)))
    samples.last = status


def _play(player: Any, process: NodeProcess, samples: Samples, minutes: float, quiet: bool) -> None:
    length = 8.0
    phases = [Phase("soak", ALL, length)] * max(1, round(minutes * 60 / length))
    began = time.monotonic()

    def tick(index: int, seconds: float) -> None:
        now = time.monotonic()
        if samples.memory and now - samples.memory[-1][0] < 1.0:
            return
        process.check()
        samples.memory.append((now, process.memory_mib(), process.cpu_seconds()))
        if not quiet and len(samples.memory) % 30 == 1:
            state = f"{samples.memory[-1][1]:.0f} MiB, {samples.last.frames_published} masks"
            print(f"{(now - began) / 60:5.1f} min  {state}", flush=True)

    player.play(phases, tick)


def summary(samples: Samples, minutes: float, exit_code: int | None) -> dict[str, Any]:
    """The result of `run`."""
    times, memory, cpu = np.array(samples.memory).T
    masks = int(samples.last.frames_published)
    latencies = np.array([latency for _, latency in samples.latencies]) * 1e3
    tenth = max(1, len(latencies) // 10)
    return {
        "minutes": round(minutes, 2),
        "frames_published": masks,
        "rate_hz": round(masks / max(times[-1] - times[0], 1e-9), 2),
        "dropped_busy": int(samples.last.dropped_busy),
        "dropped_late": int(samples.last.dropped_late),
        "frames_incomplete": int(samples.last.frames_incomplete),
        **memory_over_time(times, memory),
        "latency_ms": {
            "first": percentiles(latencies[:tenth]),
            "last": percentiles(latencies[-tenth:]),
        },
        "cpu_ms_per_frame": round(1e3 * float(cpu[-1] - cpu[0]) / max(masks, 1), 1),
        "node_exit_code": exit_code,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="to play; default: 10")
    parser.add_argument(
        "--model", default="", help="real, streets (the default) or a file of weights"
    )
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.minutes, chosen.model), indent=2))
