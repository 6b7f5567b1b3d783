"""`any2seg train`: start or resume a training run."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def train(
        config: str = typer.Argument(help="YAML file; config/training/ has recipes."),
        output: str = typer.Option(
            "", help="Folder of the run; by default the configuration's.", metavar="DIR"
        ),
        stop_at: int = typer.Option(
            0, help="End after this step; the same command resumes later. 0 trains to the end."
        ),
    ) -> None:
        """Train a network. The same command resumes an interrupted run.

        Several processes: [bold]torchrun --nproc-per-node 2 -m any2seg_ros.training CONFIG[/bold].
        """
        from any2seg_ros.training.run import train

        train(Path(config), output, stop_at or None)
