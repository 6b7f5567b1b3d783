"""`any2seg bench`: time the parts that must be fast, each beside its lower bound, in one run."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Annotated

import typer

from any2seg_ros.commands.options import lacking

QUICK_SECTIONS = ("place", "synchronizer", "network", "simulation")
"""What runs where none is named."""
LONG_SECTIONS = (
    "alternative",
    "startup",
    "replay",
    "soak",
    "delivery",
    "vehicle",
    "drive",
    "motion",
)
SECTIONS = (*QUICK_SECTIONS, *LONG_SECTIONS)


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
    chosen = only or list(QUICK_SECTIONS)
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        raise ValueError(f"no section '{unknown[0]}': use one of {', '.join(SECTIONS)}")
    figures = measure(chosen)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


def measure(sections: list[str]) -> dict:
    """Run each section's benchmark, print its figures, and return them by section.

    A section that needs a package that is not installed is left out, and says so. ValueError where
    that is all of them.
    """
    from importlib import import_module

    from rich.console import Console

    console = Console()
    figures: dict = {"machine": machine()}
    left_out: dict[str, str] = {}
    for name in sections:
        console.rule(f"[bold]{name}", align="left")
        began = time.monotonic()
        try:
            module = import_module(f"any2seg_ros.bench.{name}")
            figures[module.SECTION] = module.run()
        except ModuleNotFoundError as error:
            left_out[name] = lacking(error)
            console.print(f"[yellow]{name} is left out: {left_out[name]}", soft_wrap=True)
            continue
        console.print_json(data=figures[module.SECTION])
        console.print(f"[dim]{name} took {time.monotonic() - began:.1f} s")
    if len(left_out) == len(sections):
        raise ValueError("; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return {**figures, "left_out": left_out} if left_out else figures


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
