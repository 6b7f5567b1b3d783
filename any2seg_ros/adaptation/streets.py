"""Some simulated streets with labels, for a part of every batch, so that nothing is forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from any2seg_ros.engine.graph_cache import user_root

PLANS: tuple[dict[str, Any], ...] = (
    {"split": "train", "scenes": 80, "frames": 5, "rate": 1.0},
    {"split": "val", "scenes": 20, "frames": 3, "rate": 1.0},
)
"""What is rendered where no data set is given, see `simulation.dataset.Plan`: 460 frames, a minute
of two cores."""


def open_streets(given: Path | None, out: Path, progress: Callable[[int, int], None]) -> Path:
    """The data set at `given`, or one in the user's cache folder (else in `out`), rendered where it
    is not there yet; FileNotFoundError where `given` is no data set with train and val,
    ModuleNotFoundError where embreex is needed and not installed."""
    if given is not None:
        check_streets(given)
        return given
    from any2seg_ros.simulation.dataset import Plan, write_plans
    from any2seg_ros.simulation.scene import VERSION

    root = (user_root() or out) / f"streets-{VERSION}"
    plans = [Plan(**plan) for plan in PLANS]
    write_plans(root, plans, jobs=len(os.sched_getaffinity(0)), progress=progress)
    return root


def check_streets(given: Path) -> None:
    """FileNotFoundError where `given` is no data set with train and val."""
    for split in ("train", "val"):
        if not list(given.glob(f"img/*/{split}")):
            raise FileNotFoundError(
                f"{given} has no split '{split}': give a folder that `any2seg simulate` made, "
                "with train and val (docs/streets.md), or leave --streets out"
            )
