"""`any2seg train`: start or resume a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="YAML file; config/training/ has recipes.")],
    output: Annotated[
        str,
        typer.Option(
            help="Folder of the run. (default: as in the YAML file)",
            metavar="DIR",
            show_default=False,
        ),
    ] = "",
    stop_at: Annotated[
        int, typer.Option(help="Stop after this step; the same command resumes. 0: at the end.")
    ] = 0,
) -> None:
    """Train a network. The same command resumes an interrupted run.

    Several processes: [bold]torchrun --nproc-per-node 2 -m any2seg_ros.training CONFIG[/bold]
    """
    from any2seg_ros.training.run import train as run

    run(config, output, stop_at or None)
