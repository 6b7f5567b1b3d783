"""`any2seg inspect`: what is in a bag, and what the node would make of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from any2seg_ros.commands.options import Topic

if TYPE_CHECKING:
    from rich.table import Table

    from any2seg_ros.bags import Graph
    from any2seg_ros.inspection import BagInspection
    from any2seg_ros.inspection.calibrations import CalibrationRow


_WIDTH = 120
"""Characters of a line where the output is no terminal."""


@dataclass(frozen=True)
class InspectOptions:
    """Options of `any2seg inspect`."""

    bag: Annotated[
        Path | None, typer.Argument(help="The bag: a folder, a .mcap or a .db3 file.")
    ] = None
    live: Annotated[
        bool, typer.Option("--live", help="Look at the topics of the running ROS graph instead.")
    ] = False
    seconds: Annotated[
        float, typer.Option(min=1.0, max=600.0, help="How long to listen with --live (s).")
    ] = 15.0
    write_params: Annotated[
        Path | None,
        typer.Option(help="Write the parameters for this vehicle, for the node and replay."),
    ] = None
    page: Annotated[
        Path | None, typer.Option(help="Write a page too, with LiDAR over the camera's image.")
    ] = None
    topic: Topic = None


def inspect(options: InspectOptions) -> None:
    """Tell what is in a bag: which topic is which sensor and why, rates, gaps, and problems.

    Nothing is segmented. With --write-params, the node and `any2seg replay` take the file as it is.

    [dim]any2seg inspect BAG --write-params vehicle.yaml --page look.html[/dim]
    [dim]any2seg inspect --live --seconds 20 --write-params vehicle.yaml[/dim]
    """
    from any2seg_ros.datasets import parse_topics
    from any2seg_ros.inspection import inspect_bag

    if (options.bag is None) != options.live:
        raise ValueError("name a bag, or give --live for the topics of the running ROS graph")
    topics = parse_topics(options.topic or ())
    if options.bag is not None:
        return _report(inspect_bag(options.bag, topics), options)
    with TemporaryDirectory(prefix="any2seg_live_") as folder:
        bag, graph = _recorded(Path(folder) / "live", options.seconds)
        _report(inspect_bag(bag, topics, graph), options)
    return None


def _recorded(bag: Path, seconds: float) -> tuple[Path, Graph]:
    """What is heard in the running graph, as a bag."""
    if find_spec("rclpy") is None:
        raise ValueError("--live needs ROS 2, but there is no rclpy: run `any2seg doctor`")
    from any2seg_ros.node.recording import record

    print(f"listening for {seconds:g} s ...", flush=True)
    return bag, record(bag, seconds)


def _report(found: BagInspection, options: InspectOptions) -> None:
    from any2seg_ros.files import write_atomically
    from any2seg_ros.inspection import inspection_page, parameter_file

    show(found)
    if options.write_params is not None:
        write_atomically(options.write_params, parameter_file(found))
        print(f"wrote {options.write_params}")
    if options.page is not None:
        write_atomically(options.page, inspection_page(found))
        print(f"wrote {options.page}")


def show(found: BagInspection) -> None:
    """Print tables of topics, sensors and calibrations, and problems."""
    from rich.console import Console

    from any2seg_ros.inspection.calibrations import calibration_rows

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(_topics(found))
    console.print(_sensors(found))
    if rows := calibration_rows(found.calibration):
        console.print(_calibrations(rows))
    for note in found.notes:
        console.print(note, highlight=False, markup=False)
    for problem, mend in found.problems:
        console.print(f"problem: {problem}\n    {mend}", highlight=False, markup=False)
    if not found.problems:
        console.print("no problems found")


def _topics(found: BagInspection) -> Table:
    from rich.table import Table

    table = Table(title=f"{found.title}: {found.duration:.1f} s")
    for column in ("topic", "type", "taken for", "offered QoS"):
        table.add_column(column, overflow="fold")
    for column in ("messages", "Hz", "kB"):
        table.add_column(column, justify="right")
    for stats in found.topics.values():
        table.add_row(
            stats.topic,
            stats.type.rsplit("/", 1)[-1],
            found.role(stats.topic),
            stats.qos or "-",
            str(stats.count),
            f"{stats.rate:.1f}",
            f"{stats.size / stats.count / 1e3:.1f}" if stats.count else "-",
        )
    return table


def _sensors(found: BagInspection) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("sensor")
    table.add_column("longest gap s", justify="right")
    table.add_column("recorded after s", justify="right")
    table.add_column("stamps are late by")
    for modality, topic in found.layout.sensors.items():
        stats, offset = found.topics[topic], found.offsets.get(modality)
        table.add_row(
            modality.label,
            f"{stats.gap:.2f}",
            "-" if stats.delay is None else f"{stats.delay:.3f}",
            "-" if offset is None else offset.text,
        )
    return table


def _calibrations(rows: list[CalibrationRow]) -> Table:
    from rich.table import Table

    table = Table()
    for column in ("sensor", "camera", "extrinsics: x y z qx qy qz qw"):
        table.add_column(column)
    for row in rows:
        table.add_row(*(word or "-" for word in row))
    return table
