"""`any2seg bench`: time the parts that must be fast, each beside its lower bound, in one run."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Annotated

import typer

SECTIONS = (
    "place",
    "synchronizer",
    "network",
    "alternative",
    "startup",
    "simulation",
    "replay",
    "soak",
)
LONG_SECTIONS = ("alternative", "startup", "replay", "soak")


def bench(
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Also write the figures to this file."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Run only this section: {', '.join(SECTIONS)}. Repeatable."),
    ] = None,
) -> None:
    """Time projection, synchronizer, network and simulator on this machine.

    Compare only figures of one run, as ratios: machines are noisy.
    """
    chosen = only or [name for name in SECTIONS if name not in LONG_SECTIONS]
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        raise ValueError(f"no section '{unknown[0]}': use one of {', '.join(SECTIONS)}")
    figures = measure(chosen)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


def measure(sections: list[str]) -> dict:
    """Run each section's benchmark, print its figures, and return them by section."""
    from importlib import import_module

    from rich.console import Console

    console = Console()
    figures: dict = {"machine": machine()}
    for name in sections:
        console.rule(f"[bold]{name}", align="left")
        began = time.monotonic()
        module = import_module(f"any2seg_ros.bench.{name}")
        figures[module.SECTION] = module.run()
        console.print_json(data=figures[module.SECTION])
        console.print(f"[dim]{name} took {time.monotonic() - began:.1f} s")
    return figures


def machine() -> dict:
    """What the figures were measured on."""
    import os

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
