"""Trains from a configuration file, with a progress bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from any2seg_ros.training import distributed
from any2seg_ros.training.config import load_config
from any2seg_ros.training.trainer import Trainer


def train(path: Path, output: str = "", stop_at: int | None = None) -> Path | None:
    """Start or resume the run of a YAML file; returns the path of the weights."""
    config = load_config(path)
    if output:
        config = replace(config, output=output)
    rank, _ = distributed.start()
    console = Console(stderr=True, quiet=rank > 0)
    try:
        trainer = Trainer(config, console.print)
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, loss {task.fields[loss]:.3f}, left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("", total=config.steps, completed=trainer.step, loss=0.0)
            weights = trainer.run(
                stop_at, lambda step, loss: bar.update(task, completed=step, loss=loss)
            )
    finally:
        distributed.stop()
    console.print(
        f"weights: {weights}" if weights else f"stopped at step {trainer.step}: no weights yet"
    )
    return weights
