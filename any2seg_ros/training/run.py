"""Trains from a configuration file, with a progress bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from any2seg_ros.progress import ProgressBar
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
        with ProgressBar("training", unit="steps", console=console) as bar:
            bar.update(trainer.step, config.steps)
            weights = trainer.run(
                stop_at, lambda step, loss: bar.update(step, config.steps, f"loss {loss:.3f}")
            )
    finally:
        distributed.stop()
    console.print(
        f"weights: {weights}" if weights else f"stopped at step {trainer.step}: no weights yet"
    )
    return weights
