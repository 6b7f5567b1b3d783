"""Runs the demo: start the node, play the bag phase by phase, score, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from any2seg_ros import resources
from any2seg_ros.bags import BagReader, find_layout
from any2seg_ros.demo.process import NodeProcess, isolate
from any2seg_ros.demo.schedule import Phase, schedule
from any2seg_ros.evaluation.summary import dumps
from any2seg_ros.files import write_atomically
from any2seg_ros.messages import decode_image, decode_labels, stamp_ns
from any2seg_ros.progress import ProgressBar
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality

START_SECONDS = 300.0
"""Time limit for the first start, which loads torch and compiles the network."""


@dataclass(frozen=True)
class DemoConfig:
    """The options of `any2seg demo`."""

    out: Path
    bag: Path | None = None
    model: Path | None = None
    seconds: float = 8.0
    domain: int | None = None


def run(config: DemoConfig) -> dict:
    """Run the demo; returns the content of report.json."""
    isolate(config.domain)
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from any2seg_ros.demo.page import demo_page
    from any2seg_ros.demo.picture import write_picture
    from any2seg_ros.demo.player import Player, SensorLog
    from any2seg_ros.demo.recorder import Recorder
    from any2seg_ros.demo.scoring import Run, score

    console = Console()
    bag = config.bag or resources.find("demo_data/streets")
    phases = schedule(config.seconds)
    log = SensorLog(bag)
    if config.seconds > log.seconds + 0.5:
        raise ValueError(f"--seconds is {config.seconds:g}, but {bag} lasts {log.seconds:.1f} s")
    rgb, label = picture_topics(bag)
    truth = images(bag, label, log.start, decode_labels)
    out = _fresh_folder(config.out)
    for note in log.notes:
        console.print(f"[yellow]{escape(note)}")
    console.print(f"Playing [bold]{bag.name}[/bold] to the node; output: {escape(str(out))}/")
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    player_node = rclpy.create_node("demo_player")
    recorder_node = rclpy.create_node("demo_recorder")
    recorder = Recorder(recorder_node, out / "output_bag")
    player = Player(player_node, log)
    try:
        with NodeProcess(out / "node.log", _node_arguments(config)) as node:
            with console.status("Starting the node (loads and compiles the network)"):
                node.wait_until(
                    lambda: recorder.recording.statuses, START_SECONDS, "status from the node"
                )
            idle = node.cpu_seconds()
            _play(node, player, recorder, phases)
            time.sleep(0.5)
            cpu = node.cpu_seconds() - idle
            exit_code = node.stop()
    finally:
        recorder.close()
        player_node.destroy_node()
        recorder_node.destroy_node()
        rclpy.try_shutdown()
    result = Run(
        phases, player.starts, player.first_published, recorder.recording, truth, exit_code
    )
    report = score(result, DELIVER)
    report["node_cpu_ms_per_frame"] = 1e3 * cpu / max(len(recorder.recording.masks), 1)
    write_atomically(out / "report.json", dumps(report))
    camera = images(bag, rgb, log.start)
    write_atomically(out / "report.html", demo_page(report, result, camera, DELIVER))
    write_picture(out / "demo.jpg", result, camera, DELIVER)
    console.print(table(report))
    console.print(
        f"Report: {escape(str(out))}/report.html   figures: {escape(str(out))}/report.json"
    )
    return report


def images(
    bag: Path, topic: str, start: int, decode: Callable[[Any], np.ndarray] = decode_image
) -> dict[int, np.ndarray]:
    """The images of a topic, uint8 (H, W) or RGB (H, W, 3), by ns since `start`."""
    with BagReader(bag) as reader:
        return {
            stamp_ns(recorded.message.header.stamp) - start: decode(recorded.message)
            for recorded in reader.messages([topic])
        }


def picture_topics(bag: Path) -> tuple[str, str]:
    """The camera topic and the label topic; ValueError if the bag lacks one."""
    with BagReader(bag) as reader:
        layout = find_layout(reader.topics, counts=reader.counts)
    if layout.label is None or Modality.RGB not in layout.sensors:
        raise ValueError(f"{bag} lacks a camera topic or a label topic: the demo needs both")
    return layout.sensors[Modality.RGB], layout.label


def table(report: dict) -> Table:
    """The table of results that the demo prints."""
    rows = Table(title="Results", title_justify="left", box=box.SIMPLE_HEAD)
    rows.add_column("phase", no_wrap=True)
    for column in ("masks", "Hz", "p50 ms", "p90 ms", "p99 ms", "mIoU", "conf"):
        rows.add_column(column, justify="right", no_wrap=True)
    for phase in report["phases"]:
        latency = phase["latency_ms"]
        rows.add_row(
            phase["name"],
            f"{phase['frames_published']}/{phase['frames_expected']}",
            f"{phase['rate_hz']:.1f}",
            *(_number(latency[p], 0) for p in ("p50", "p90", "p99")),
            _number(phase["miou"], 1),
            _number(phase["mean_confidence"], 2),
        )
    rows.caption = (
        f"loss of all sensors reported after {_number(report['loss_reported_after_s'], 2)} s; "
        f"recovery after {_number(report['recovery_s'], 2)} s; CPU time of the node "
        f"{report['node_cpu_ms_per_frame']:.0f} ms per frame; exit code {report['node_exit_code']}"
    )
    rows.caption_justify = "left"
    return rows


def _play(node: NodeProcess, player: Any, recorder: Any, phases: tuple[Phase, ...]) -> None:
    names = [phase.name for phase in phases]
    with ProgressBar(*names) as bars:

        def tick(index: int, seconds: float) -> None:
            node.check()
            state = _live(recorder.recording, player.starts[index])
            bars.update(seconds, phases[index].seconds, state, row=index)

        player.play(phases, tick)


def _live(recording: object, start: int) -> str:
    masks = 0
    for mask in reversed(recording.masks):  # type: ignore[attr-defined]
        if mask.stamp < start - 1_000_000:
            break
        masks += 1
    weights = recording.statuses[-1].weights if recording.statuses else {}  # type: ignore[attr-defined]
    state = " ".join(f"{m.label} {weights[m]:.2f}" if m in weights else "" for m in Modality)
    return f"{masks:3d} masks  {state}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _node_arguments(config: DemoConfig) -> list[str]:
    arguments = ["--ros-args", "--params-file", str(resources.find("config/demo.yaml"))]
    if config.model:
        arguments += ["-p", f"model:={config.model}"]
    return arguments


OUTPUTS = ("demo.jpg", "report.html", "report.json", "node.log", "output_bag")


def _fresh_folder(folder: Path) -> Path:
    """Create the folder, or delete an earlier demo's files from it; others are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return folder
