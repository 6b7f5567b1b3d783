"""`any2seg demo`: the node on a drive whose sensors die and come back."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, report.json and the output bag.")
    ] = Path("demo_output"),
    bag: Annotated[Path | None, typer.Option(help="Another bag with ground truth.")] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Weights that the node runs: real, streets or a .safetensors file. "
            "(default: streets)",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Length of each phase (s).")] = 8.0,
    domain: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=101,
            help="ROS domain, to watch in RViz. (default: one of its own)",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Segment a drive while its sensors are taken away, and score every mask.

    The node runs in its own process; the bag is played to it over DDS in real time. Exit status 1
    where masks came without sensors, with a wrong status or not at all, or the node did not end
    with 0.
    """
    from any2seg_ros.demo.run import DemoConfig, run
    from any2seg_ros.interrupts import interrupted_by_any_signal

    if find_spec("rclpy") is None:
        raise ValueError("the demo needs ROS 2, but there is no rclpy: run `any2seg doctor`")
    from any2seg_ros.demo.scoring import failures

    with interrupted_by_any_signal():
        failed = failures(run(DemoConfig(out, bag, model, seconds, domain)))
    if failed:
        print(f"any2seg: the demo failed: {'; '.join(failed)}", file=sys.stderr)
        raise typer.Exit(1)
