"""`any2seg doctor`: what was found on this machine, and the command that mends what was not."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def doctor() -> None:
        """Tell what was found (ROS, messages, engines, weights) and how to mend the rest."""
        from any2seg_ros.doctor import run

        raise typer.Exit(run())
