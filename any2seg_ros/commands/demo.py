"""`any2seg demo`: the node, a bag, sensors that die and come back, and what that cost."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def demo(
        out: Annotated[
            Path, typer.Option(help="Folder for report.html, report.json and the bag.")
        ] = Path("demo_output"),
        bag: Annotated[Path | None, typer.Option(help="Another bag with ground truth.")] = None,
        model: Annotated[Path | None, typer.Option(help="Other weights (safetensors).")] = None,
        seconds: Annotated[float, typer.Option(min=1.0, help="Length of each phase.")] = 8.0,
        domain: Annotated[
            int | None,
            typer.Option(
                min=0, max=101, help="ROS domain to run in, to watch in RViz; else one of its own."
            ),
        ] = None,
    ) -> None:
        """Segment a drive while its sensors are taken away, and score every mask.

        The node runs as a process of its own; the bag is played to it over DDS in real time.
        """
        from any2seg_ros.demo.run import DemoConfig, run

        if find_spec("rclpy") is None:
            raise ValueError("the demo needs ROS 2, and there is no rclpy: see any2seg doctor")
        run(DemoConfig(out, bag, model, seconds, domain))
