"""`any2seg inspect`: what is in a bag, and what the node would make of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from any2seg_ros.commands.options import Topic

if TYPE_CHECKING:
    from any2seg_ros.inspection import BagInspection


@dataclass(frozen=True)
class InspectOptions:
    """Options of `any2seg inspect`."""

    bag: Annotated[Path, typer.Argument(help="The bag: a folder, a .mcap or a .db3 file.")]
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
    """
    from any2seg_ros.datasets import parse_topics
    from any2seg_ros.files import write_atomically
    from any2seg_ros.inspection import inspect_bag, inspection_page, parameter_file

    found = inspect_bag(options.bag, parse_topics(options.topic or ()))
    show(found)
    if options.write_params is not None:
        write_atomically(options.write_params, parameter_file(found))
        print(f"wrote {options.write_params}")
    if options.page is not None:
        write_atomically(options.page, inspection_page(found))
        print(f"wrote {options.page}")


def show(found: BagInspection) -> None:
    """Print tables of topics and problems."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{found.path}: {found.duration:.1f} s")
    for column in ("topic", "type", "taken for"):
        table.add_column(column, overflow="fold")
    for column in ("messages", "Hz", "kB each", "longest gap s", "delay s"):
        table.add_column(column, justify="right")
    for stats in found.topics.values():
        delay = stats.delay if found.role(stats.topic) else None
        table.add_row(
            stats.topic,
            stats.type.rsplit("/", 1)[-1],
            found.role(stats.topic),
            str(stats.count),
            f"{stats.rate:.1f}",
            f"{stats.size / stats.count / 1e3:.1f}" if stats.count else "-",
            f"{stats.gap:.2f}",
            "-" if delay is None else f"{delay:.3f}",
        )
    console.print(table)
    for note in found.notes:
        console.print(note, highlight=False, markup=False)
    for problem, mend in found.problems:
        console.print(f"problem: {problem}\n    {mend}", highlight=False, markup=False)
    if not found.problems:
        console.print("no problems found")
