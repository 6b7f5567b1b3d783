"""The demo from end to end: start the node, play, take sensors away, score, report."""

from __future__ import annotations

import os
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
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from any2seg_ros import resources
from any2seg_ros.bags import BagReader, find_layout
from any2seg_ros.demo.process import NodeProcess
from any2seg_ros.demo.schedule import Phase, schedule
from any2seg_ros.evaluation.summary import dumps
from any2seg_ros.files import write_atomically
from any2seg_ros.messages import decode_image, decode_labels, stamp_ns
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality

START_SECONDS = 300.0
"""The longest that a first start may take: it loads torch and compiles the network."""


@dataclass(frozen=True)
class DemoConfig:
    """What the demo plays and where it leaves its results."""

    out: Path
    bag: Path | None = None
    model: Path | None = None
    seconds: float = 8.0
    domain: int | None = None


def run(config: DemoConfig) -> dict:
    """Run the demo; returns what report.json holds."""
    _isolate(config.domain)
    import rclpy

    from any2seg_ros.demo.picture import write_picture
    from any2seg_ros.demo.player import Player, Tape
    from any2seg_ros.demo.recorder import Recorder
    from any2seg_ros.demo.report import write_report
    from any2seg_ros.demo.scoring import Run, score

    console = Console()
    bag = config.bag or resources.find("demo_data/streets")
    phases = schedule(config.seconds)
    tape = Tape(bag)
    if config.seconds > tape.seconds + 0.5:
        raise ValueError(f"{bag} has {tape.seconds:.1f} s: --seconds can be no more than that")
    rgb, label = picture_topics(bag)
    truth = images(bag, label, tape.start, decode_labels)
    out = _fresh_folder(config.out)
    console.print(f"Playing [bold]{bag.name}[/bold] to the node; results go to {escape(str(out))}/")
    rclpy.init()
    talker, listener = rclpy.create_node("demo_player"), rclpy.create_node("demo_recorder")
    recorder = Recorder(listener, out / "output_bag")
    player = Player(talker, tape)
    try:
        with NodeProcess(out / "node.log", _node_arguments(config)) as node:
            with console.status("Starting the node: loading and compiling the network"):
                node.wait_until(
                    lambda: recorder.heard.statuses, START_SECONDS, "the node's first status"
                )
            idle = node.cpu_seconds()
            _play(console, node, player, recorder, phases)
            time.sleep(0.5)
            cpu = node.cpu_seconds() - idle
            exit_code = node.stop()
    finally:
        recorder.close()
        talker.destroy_node()
        listener.destroy_node()
        rclpy.try_shutdown()
    result = Run(phases, player.starts, player.first_published, recorder.heard, truth, exit_code)
    report = score(result, DELIVER)
    report["node_cpu_ms_per_frame"] = 1e3 * cpu / max(len(recorder.heard.masks), 1)
    write_atomically(out / "report.json", dumps(report))
    camera = images(bag, rgb, tape.start)
    write_report(out / "report.html", report, result, camera, DELIVER)
    write_picture(out / "demo.jpg", result, camera, DELIVER)
    console.print(table(report))
    console.print(
        f"Pictures: {escape(str(out))}/report.html   figures: {escape(str(out))}/report.json"
    )
    return report


def images(
    bag: Path, topic: str, start: int, decode: Callable[[Any], np.ndarray] = decode_image
) -> dict[int, np.ndarray]:
    """The images of a topic, uint8 (H, W) or (H, W, 3) RGB, by ns after `start`."""
    with BagReader(bag) as reader:
        return {
            stamp_ns(recorded.message.header.stamp) - start: decode(recorded.message)
            for recorded in reader.messages([topic])
        }


def picture_topics(bag: Path) -> tuple[str, str]:
    """The topics of the camera and of the labels; ValueError for a bag that lacks one."""
    with BagReader(bag) as reader:
        layout = find_layout(reader.topics, counts=reader.counts)
    if layout.label is None or Modality.RGB not in layout.sensors:
        raise ValueError(f"{bag} has no label topic or no camera: the demo needs both")
    return layout.sensors[Modality.RGB], layout.label


def table(report: dict) -> Table:
    """The report's figures as the table that the demo prints."""
    rows = Table(title="What the node published", title_justify="left", box=box.SIMPLE_HEAD)
    rows.add_column("phase", no_wrap=True)
    for column in ("masks", "Hz", "p50 ms", "p90 ms", "p99 ms", "mIoU", "sure"):
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
        f"recovery {_number(report['recovery_s'], 2)} s; blindness said after "
        f"{_number(report['blind_said_after_s'], 2)} s; the node ended with "
        f"{report['node_exit_code']} and used {report['node_cpu_ms_per_frame']:.0f} ms of "
        "processor time a frame"
    )
    rows.caption_justify = "left"
    return rows


def _play(
    console: Console,
    node: NodeProcess,
    player: object,
    recorder: object,
    phases: tuple[Phase, ...],
) -> None:
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(10),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console, expand=False) as progress:
        bars = [
            progress.add_task(phase.name, total=phase.seconds, said="", start=False)
            for phase in phases
        ]

        def tick(index: int, seconds: float) -> None:
            node.check()
            if not progress.tasks[bars[index]].started:
                progress.start_task(bars[index])
            said = _live(recorder.heard, player.starts[index])  # type: ignore[attr-defined]
            progress.update(bars[index], completed=seconds, said=said)
            if seconds >= phases[index].seconds:
                progress.stop_task(bars[index])

        player.play(phases, tick)  # type: ignore[attr-defined]


def _live(heard: object, start: int) -> str:
    masks = 0
    for mask in reversed(heard.masks):  # type: ignore[attr-defined]
        if mask.stamp < start - 1_000_000:
            break
        masks += 1
    weights = heard.statuses[-1].weights if heard.statuses else {}  # type: ignore[attr-defined]
    said = " ".join(f"{m.label} {weights[m]:.2f}" if m in weights else "" for m in Modality)
    return f"{masks:3d} masks  {said}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _node_arguments(config: DemoConfig) -> list[str]:
    arguments = ["--ros-args", "--params-file", str(resources.find("config/demo.yaml"))]
    if config.model:
        arguments += ["-p", f"model:={config.model}"]
    return arguments


def _isolate(domain: int | None) -> None:
    """Keep the demo's topics from a vehicle's: this host only, and a domain of its own."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["ROS_DOMAIN_ID"] = str(10 + os.getpid() % 90 if domain is None else domain)


OURS = ("demo.jpg", "report.html", "report.json", "node.log", "output_bag")


def _fresh_folder(folder: Path) -> Path:
    """The folder, without the results of an earlier demo; other files in it are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return folder
