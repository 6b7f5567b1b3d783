"""The node on full-size sensors over DDS, beside what its parts cost alone in the same run.

python -m any2seg_ros.bench.vehicle --rate 30 --maximum-rate 10 --nodes 2
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros import resources
from any2seg_ros.bags.stamps import header_stamp
from any2seg_ros.bench.figures import memory_over_time, percentiles
from any2seg_ros.demo.process import NodeProcess, isolate
from any2seg_ros.messages.buffers import stamp_ns
from any2seg_ros.types import Modality

SECTION = "vehicle"
STAGES = ("wait", "decode", "infer", "publish", "total")
_START_S = 300.0
_WARM_UP_S = 5.0
PAUSE_S = 0.07
"""Between two frames of the parts alone: with a frame itself about a tenth of a second."""
_ROUNDS = 30
_FIRST = 3
"""Rounds that make tables and are not counted."""
_NETWORK = "decoding and network"
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Scenario:
    """What is played, to how many nodes, and what they may do."""

    rate: float = 10.0
    """Hz of the cameras."""
    maximum_rate: float = 0.0
    nodes: int = 1
    """Each on a camera of its own; the other sensors are shared."""
    seconds: float = 20.0
    model: str = ""
    """Weights, as the node's parameter names them."""


SCENARIOS = {
    "10 Hz": Scenario(),
    "20 Hz, maximum_rate 10": Scenario(20.0, 10.0),
    "30 Hz, maximum_rate 10": Scenario(30.0, 10.0),
    "two nodes on two cameras": Scenario(nodes=2),
}


def run() -> dict[str, Any]:
    """What the parts cost alone, and the figures of each scenario; see `played`."""
    alone, paced = parts_alone(), parts_alone(pause_s=PAUSE_S)
    figures: dict[str, Any] = {"alone": alone, "alone with pauses": paced}
    for name, scenario in SCENARIOS.items():
        figures[name] = compared(played(scenario), alone, paced)
    return figures


def compared(
    figures: dict[str, Any], alone: Mapping[str, float], paced: Mapping[str, float]
) -> dict[str, Any]:
    """Figures with the ratios that are wanted: of processor time, and of latency.

    To the parts alone, one after the other, and with pauses as between the frames of a sensor.
    """
    for node in figures["nodes"].values():
        spent, late = node["processor_ms_per_frame"]["all"], node["sensors_late_ms"]
        for parts, name in ((alone, "alone"), (paced, "with_pauses")):
            most = 1.15 * parts["network_wall_p50_ms"] + 10 + late
            node[f"processor_vs_parts_{name}"] = round(spent / parts["sum_ms"], 2)
            node[f"stamp_to_mask_p90_wanted_{name}_ms"] = round(most, 1)
    return figures


def parts_alone(model: str = "", rounds: int = _ROUNDS, pause_s: float = 0.0) -> dict[str, float]:
    """Processor time (ms) of the network and of decoding and placing a frame, without a ROS graph.

    On the messages that are played. `after_waiting_ms` is what is left to decode and place when a
    frame leaves, where a free thread has made ready what it could. `network_wall_*`: the network's
    time by the clock. `pause_s`: before each frame; then caches are cold, as they are in a node.
    """
    from any2seg_ros.bench.vehicle_frames import frames
    from any2seg_ros.engine import EngineConfig, Segmenter
    from any2seg_ros.runtime.pipeline import Pipeline

    segmenter = Segmenter.open(EngineConfig(model))
    segmenter.prepare()
    pipeline = Pipeline(segmenter)
    network, walls = [], []

    def place(ahead: bool) -> Iterator[tuple[float, Mapping[Modality, np.ndarray]]]:
        for frame in frames(pipeline, rounds + _FIRST, ahead):
            time.sleep(pause_s)
            began = time.process_time()
            prepared = pipeline.prepare(frame)
            if len(prepared.images) != len(Modality):
                raise ValueError(f"a sensor is not usable: {dict(prepared.frame.reasons)}")
            yield time.process_time() - began, prepared.images

    placing = []
    for seconds, images in place(ahead=False):
        placing.append(seconds)
        began, wall = time.process_time(), time.perf_counter()
        segmenter.segment(images, (1280, 720))
        walls.append(time.perf_counter() - wall)
        network.append(time.process_time() - began)
    pipeline.reset()
    left = [seconds for seconds, _ in place(ahead=True)]
    wall_ms = percentiles(1e3 * np.array(walls[_FIRST:]))
    placed, after, run = (_median_ms(times) for times in (placing, left, network))
    return {
        "decode_and_place_ms": round(placed, 2),
        "after_waiting_ms": round(after, 2),
        "network_ms": round(run, 2),
        "sum_ms": round(placed + run, 2),
        "network_wall_p50_ms": wall_ms["p50"],
        "network_wall_p90_ms": wall_ms["p90"],
    }


def _median_ms(seconds: Sequence[float]) -> float:
    return 1e3 * float(np.median(seconds[_FIRST:]))


def played(scenario: Scenario) -> dict[str, Any]:
    """Play a scenario to the node as a process.

    By node: heard (share of the messages that were sent), with_all_four (share of the masks;
    dropped_busy are the frames that became none), masks and their rate, stamp_to_mask_ms and its
    stages, processor_ms_per_frame by thread: the executor's and the middleware's of each frame,
    decoding and the network of each mask.
    sensors_late_ms: from a frame's stamp until its last sensor publishes.
    """
    isolate()
    profiles = str(resources.find("config/fastdds.xml"))
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", profiles)
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", profiles)
    import rclpy

    names = ("",) if scenario.nodes == 1 else tuple(f"/car{i}" for i in range(scenario.nodes))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rclpy.init(args=[])
        stack.callback(rclpy.try_shutdown)
        ears = {name: Ear(name) for name in names}
        stack.enter_context(_listening([ear.node for ear in ears.values()]))
        processes = {}
        for i, (name, ear) in enumerate(ears.items()):
            process = _node(Path(folder) / f"{i}.log", name, scenario)
            processes[name] = stack.enter_context(process)
            process.wait_until(lambda ear=ear: ear.statuses, _START_S, "status from the node")
        player = stack.enter_context(_player(scenario, names))
        for name, process in processes.items():
            process.wait_until(lambda e=ears[name]: e.masks, _START_S, f"mask from {name}")
        time.sleep(_WARM_UP_S)
        spans = {n: Span(ears[n], p) for n, p in processes.items()}
        _sample(spans.values(), scenario.seconds)
        figures = {name or "/": span.end() for name, span in spans.items()}
        report = _end(player)
        time.sleep(2.5)  # for the last diagnostics
        for name, ear in ears.items():
            figures[name or "/"]["heard"] = _heard(ear.messages, report["sent"], name)
    return {"nodes": figures, "player": report}


def _sample(spans: Iterable[Span], seconds: float) -> None:
    """Sample the nodes' memory every second for so many seconds."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for span in spans:
            span.sample()
        time.sleep(min(1.0, left))


def _node(log: Path, name: str, scenario: Scenario) -> Any:
    arguments = ["-p", f"maximum_rate:={float(scenario.maximum_rate)}"]
    arguments += ["-p", f"model:={scenario.model}"] if scenario.model else []
    if name:
        arguments += ["-r", f"__ns:={name}"]
        shared = ("depth/image", "depth/camera_info", "lidar/points", "event/packets")
        for topic in (*shared, "event/camera_info"):
            arguments += ["-r", f"{topic}:=/{topic}"]
    return NodeProcess(log, ["--ros-args", *arguments], {"ROS_PYTHON_CHECK_FIELDS": "0"})


@contextmanager
def _player(scenario: Scenario, names: Sequence[str]) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "any2seg_ros.bench.vehicle_sensors"]
    command += ["--rate", str(scenario.rate), "--cameras", *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _end(player: subprocess.Popen) -> dict[str, Any]:
    player.send_signal(signal.SIGTERM)
    output = player.communicate(timeout=60)[0]
    return json.loads(output.splitlines()[-1])


@contextmanager
def _listening(nodes: Sequence[Any]) -> Iterator[None]:
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join(5)
        for node in nodes:
            node.destroy_node()


class Ear:
    """Hears the masks, statuses and diagnostics of one node."""

    def __init__(self, name: str) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from sensor_msgs.msg import Image

        from any2seg_ros.msg import SegmentationStatus

        self.masks: dict[int, int] = {}
        """Arrival by stamp, ns of the same clock."""
        self.statuses: dict[int, Any] = {}
        """By stamp: the status of each mask, and of the time before the first."""
        self.messages: dict[str, int] = {}
        """Heard by the node so far, by sensor."""
        self._name = f"{name}/segmenter"
        self.node = rclpy.create_node("vehicle_bench", namespace=name or "/")
        make = self.node.create_subscription
        make(Image, f"{self._name}/mask", self._on_mask, 20, raw=True)
        make(SegmentationStatus, f"{self._name}/status", self._on_status, 100)
        make(DiagnosticArray, "/diagnostics", self._on_diagnostics, 20)

    def _on_mask(self, cdr: bytes) -> None:
        self.masks[header_stamp(cdr)] = time.time_ns()

    def _on_status(self, status: Any) -> None:
        stamp = stamp_ns(status.header.stamp)
        if stamp not in self.statuses:  # later ones repeat what the last frame had
            self.statuses[stamp] = status

    def _on_diagnostics(self, array: Any) -> None:
        for one in array.status:
            node, _, sensor = one.name.partition(": ")
            values = {value.key: value.value for value in one.values}
            if node == self._name and "messages" in values:
                self.messages[sensor] = int(values["messages"])


@dataclass
class Span:
    """What a node does while its sensors are played."""

    ear: Ear
    process: Any
    began: int = field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        self._before = by_thread(self.process.pid)
        self._first = self._last()
        self._memory: list[tuple[float, float]] = []

    def sample(self) -> None:
        """Note the node's memory; ChildProcessError if it has ended."""
        self.process.check()
        self._memory.append((time.monotonic(), self.process.memory_mib()))

    def _last(self) -> Any:
        heard = list(self.ear.statuses.values())  # others come in meanwhile
        return max(heard, key=lambda status: status.frames_in)

    def end(self) -> dict[str, Any]:
        """The figures from the beginning until now."""
        seconds = (time.time_ns() - self.began) * 1e-9
        now = by_thread(self.process.pid)
        used = {name: now[name] - self._before[name] for name in now}
        masks = {s: at for s, at in list(self.ear.masks.items()) if s >= self.began}
        statuses = [self.ear.statuses[s] for s in masks if s in self.ear.statuses]
        late = np.array([at - s for s, at in masks.items()]) * 1e-6
        all_four = [all(m.weight > 0 for m in status.modalities) for status in statuses]
        last = self._last()
        opened = max(1, last.frames_in - self._first.frames_in)
        shares = {name: len(masks) if name == _NETWORK else opened for name in used}
        each = {n: round(1e3 * used[n] / max(1, shares[n]), 1) for n in sorted(used)}
        return {
            "masks": len(masks),
            "rate_hz": round(len(masks) / seconds, 2),
            "with_all_four": round(float(np.mean(all_four)) if all_four else 0.0, 4),
            "frames": opened,
            "dropped_busy": int(last.dropped_busy - self._first.dropped_busy),
            "processor_ms_per_frame": {"all": round(sum(each.values()), 1), **each},
            "cores": round(sum(used.values()) / seconds, 2),
            **memory_over_time(*np.array(self._memory).T),
            "sensors_late_ms": _sensors_late(),
            "stamp_to_mask_ms": percentiles(late),
            "stages_ms": _stages(statuses),
        }


def _sensors_late() -> float:
    from any2seg_ros.bench.vehicle_sensors import LATE_NS

    return max(LATE_NS.values()) * 1e-6


def _stages(statuses: Sequence[Any]) -> dict[str, dict[str, float]]:
    return {
        name: percentiles(1e3 * np.array([getattr(s, f"latency_{name}") for s in statuses]))
        for name in STAGES
    }


def by_thread(pid: int) -> dict[str, float]:
    """CPU seconds of a node's threads: the executor's, the middleware's, and the others."""
    used = dict.fromkeys(("executor", "middleware", _NETWORK), 0.0)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:  # it has ended
            continue
        fields = rest.split()
        middleware = "middleware" if name.startswith("dds") else _NETWORK
        kind = "executor" if task.name == str(pid) else middleware
        used[kind] += (int(fields[11]) + int(fields[12])) * _TICK
    return used


def _heard(messages: Mapping[str, int], sent: Mapping[str, int], name: str) -> dict[str, float]:
    """Share of the messages sent that the node has heard, by sensor."""
    topics = {
        "rgb": f"{name}/rgb/image",
        "depth": "/depth/image",
        "lidar": "/lidar/points",
        "event": "/event/packets",
    }
    return {s: round(messages.get(s, 0) / sent[topic], 4) for s, topic in topics.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of one scenario, beside the parts alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=10.0, help="Hz of the cameras")
    parser.add_argument("--maximum-rate", type=float, default=0.0, help="the node's maximum_rate")
    parser.add_argument("--nodes", type=int, default=1, help="nodes, each on its own camera")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--model", default="", help="weights; default: those of the node")
    chosen = parser.parse_args(arguments)
    alone, paced = (parts_alone(chosen.model, pause_s=pause) for pause in (0.0, PAUSE_S))
    figures = compared(played(Scenario(**vars(chosen))), alone, paced)
    figures = {"alone": alone, "alone with pauses": paced, **figures}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
