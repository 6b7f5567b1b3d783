"""As many steps as a number of processor seconds pays for: what makes recipes comparable."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from any2seg_ros.training import distributed
from any2seg_ros.training.trainer import Trainer

SHORT, LONG = 4, 20
"""Steps of the two runs whose difference is what a step costs; both start up alike."""
NEVER = 10**9


def processor_seconds(command: Sequence[str]) -> float:
    """Run a command; the processor seconds, user and system, of it and all that it started.

    subprocess.CalledProcessError where it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def seconds_a_step(config: dict[str, Any]) -> float:
    """What a step of a configuration costs here, start-up and placed frames not counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        endless = {"steps": NEVER, "validate_every": NEVER, "checkpoint_every": NEVER}
        path.write_text(yaml.safe_dump({**config, **endless, "output": f"{folder}/run"}))
        command = [sys.executable, "-m", "any2seg_ros.cli", "train", str(path), "--stop-at"]
        processor_seconds([*command, "1"])  # which places the frames
        short = processor_seconds([*command, str(1 + SHORT)])
        long = processor_seconds([*command, str(1 + SHORT + LONG)])
    return max((long - short) / (LONG - SHORT), 1e-3)


def seconds_of(trainer: Trainer) -> float:
    """What a step of a run that has not begun costs here: processor seconds of all its processes,
    on a GPU seconds by the clock. It trains a few steps."""
    clock = time.monotonic if trainer.device.type == "cuda" else time.process_time
    trainer.run(1)
    began = clock()
    trainer.run(1 + SHORT)
    spent = torch.tensor(clock() - began)
    if trainer.device.type != "cuda":
        spent = distributed.total(spent)
    return max(float(spent) / SHORT, 1e-3)


def fit_steps(config: dict[str, Any], seconds: float, a_step: float) -> dict[str, Any]:
    """The configuration with as many steps as so many processor seconds pay for at `a_step` each.

    ValueError where steps do not all cost the same, or where it pays for none.
    """
    if config.get("losses", {}).get("subsets_from"):
        raise ValueError("processor_seconds needs losses.subsets_from: 0: make it two stages")
    steps = int(seconds / a_step)
    if steps < 1:
        raise ValueError(f"{seconds:g} processor seconds pay for no step: give more")
    return {**config, "steps": steps, "validate_every": steps}
