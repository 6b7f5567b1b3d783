"""Runs `any2seg simulate`: options to plans, plans to files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from any2seg_ros.progress import ProgressBar
from any2seg_ros.simulation.bag import EASY, Recording
from any2seg_ros.simulation.dataset import Plan, write_bags, write_plans
from any2seg_ros.simulation.recipe import Recipe, checksums, load_recipe, record_checksums
from any2seg_ros.simulation.settings import load_settings
from any2seg_ros.simulation.weather import CONDITIONS, FAILURES

FORMATS = ("deliver", "bag")


@dataclass(frozen=True)
class Options:
    """The command's options as typed."""

    out: Path
    format: str = "deliver"
    split: str = "train"
    scenes: int = 10
    frames: int = 10
    rate: float = 0.0
    conditions: str = ",".join(CONDITIONS)
    failures: str = ""
    seed: int = 0
    first: int = 0
    size: str = "512x288"
    jobs: int = 0
    sensors: Path | None = None
    recipe: Path | None = None
    verify: bool = False
    record: bool = False
    odometry: float = 0.0
    raw_sweeps: bool = False
    lidar_lag: float = 0.0
    depth_lag: float = 0.0


def run(options: Options) -> None:
    """Run with a progress bar. ValueError, FileNotFoundError and OSError say what to fix."""
    console = Console(stderr=True)
    if options.format not in FORMATS:
        raise ValueError(f"unknown format '{options.format}': use deliver or bag")
    jobs = options.jobs or len(os.sched_getaffinity(0))
    if jobs < 0:
        raise ValueError("--jobs must be 0 or more")
    if options.recipe is not None:
        return _run_recipe(options, load_recipe(options.recipe), jobs, console)
    if options.verify or options.record:
        raise ValueError("--verify and --record need a recipe: add --recipe")
    plan, settings = plan_of(options), load_settings(options.sensors)
    recording = Recording(
        options.odometry, options.raw_sweeps, options.lidar_lag, options.depth_lag
    )
    if recording != EASY and options.format != "bag":
        raise ValueError("--odometry, --raw-sweeps and lags are of bags: add --format bag")
    with ProgressBar("rendering", unit="frames", console=console) as bar:
        if options.format == "bag":
            made = write_bags(
                options.out, plan, options.first, settings, jobs, bar.update, recording
            )
        else:
            made = write_plans(options.out, [plan], settings, jobs, bar.update)
    console.print(f"{options.out}: {made} frames rendered, {plan.scenes * plan.frames} in total")


def _run_recipe(options: Options, recipe: Recipe, jobs: int, console: Console) -> None:
    if not options.verify:
        with ProgressBar("rendering", unit="frames", console=console) as bar:
            write_plans(options.out, recipe.plans, recipe.settings, jobs, bar.update)
    with ProgressBar("checksums", unit="frames", console=console) as bar:
        found = checksums(options.out, recipe.plans, bar.update)
    if options.record and options.recipe:
        record_checksums(options.recipe, found)
        recipe = load_recipe(options.recipe)
    _compare(options, recipe, found, console)


def _compare(options: Options, recipe: Recipe, found: dict[str, str], console: Console) -> None:
    wrong = []
    for split, value in found.items():
        known = recipe.checksums.get(split)
        verdict = {None: "not in the recipe yet: --record adds it", value: "matches the recipe"}
        if known not in verdict:
            wrong.append(split)
        console.print(f"{split}: {value} ({verdict.get(known, 'differs from the recipe')})")
    if wrong:
        text = (
            f"{', '.join(wrong)} of {options.out} does not match the checksums of "
            f"{options.recipe}: files were changed, or this processor or these versions of numpy, "
            "opencv or embreex round differently"
        )
        if options.verify:
            raise ValueError(text)
        console.print(f"[yellow]{text}[/yellow]")
    if options.verify and not recipe.checksums:
        raise ValueError(f"{options.recipe} has no checksums to compare with: --record adds them")


def plan_of(options: Options) -> Plan:
    """The plan that the options describe; ValueError names what is wrong."""
    bag = options.format == "bag"
    failures = options.failures or ("none" if bag else ",".join(FAILURES))
    return Plan(
        split=options.split,
        scenes=options.scenes,
        frames=options.frames,
        conditions=_words(options.conditions),
        failures=() if failures == "none" else _words(failures),
        rate=options.rate or (10.0 if bag else 2.0),
        seed=options.seed,
        size=_size(options.size),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"'{text}' is not a size: use WIDTHxHEIGHT, such as 512x288") from None
    return width, height
