"""`any2seg doctor`: check this machine and say how to fix what is missing."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Check what this machine has (ROS, messages, engines, weights) and how to fix the rest."""
    from any2seg_ros.doctor import run

    raise typer.Exit(run())
