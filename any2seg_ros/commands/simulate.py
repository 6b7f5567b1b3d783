"""`any2seg simulate`: drive through streets and write what the sensors measured, with labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

DRIVES, BAGS, RECIPE = "Drives", "Bags", "Recipe"


@dataclass(frozen=True)
class SimulateOptions:
    """Options of `any2seg simulate`; the same names as in `simulation.job.Options`."""

    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of the data set, or with --format bag, of bags."),
    ]
    format: Annotated[
        str,
        typer.Option(
            help="[bold]deliver[/bold]: DELIVER's folders and raw measurements; "
            "[bold]bag[/bold]: ROS 2 bags (a single drive's bag is DIR itself)."
        ),
    ] = "deliver"
    split: Annotated[
        str,
        typer.Option(
            help="train, val or test. They have no street in common; the streets of test are of "
            "another kind."
        ),
    ] = "train"
    seed: Annotated[int, typer.Option(min=0, help="Seed of the world.")] = 0
    jobs: Annotated[
        int,
        typer.Option(
            help="Number of processes; 0: one per core. The output does not depend on it."
        ),
    ] = 0
    scenes: Annotated[
        int, typer.Option(help="Number of drives, each in its own town.", rich_help_panel=DRIVES)
    ] = 10
    frames: Annotated[int, typer.Option(help="Frames per drive.", rich_help_panel=DRIVES)] = 10
    rate: Annotated[
        float,
        typer.Option(
            help="Frames per second; 0: 2 for deliver, 10 for bags.", rich_help_panel=DRIVES
        ),
    ] = 0.0
    conditions: Annotated[
        str,
        typer.Option(
            help="Some of cloud, fog, night, rain, sun, separated by commas; drives take turns.",
            rich_help_panel=DRIVES,
        ),
    ] = "cloud,fog,night,rain,sun"
    failures: Annotated[
        str,
        typer.Option(
            help="Some of motionblur, overexposure, underexposure, lidarjitter, eventlowres, "
            "separated by commas, or none; a third of the drives has one. "
            "(default: all for deliver, none for bags)",
            show_default=False,
            rich_help_panel=DRIVES,
        ),
    ] = ""
    first: Annotated[
        int, typer.Option(help="Number of the first drive; bags only.", rich_help_panel=DRIVES)
    ] = 0
    size: Annotated[
        str,
        typer.Option(metavar="WxH", help="Size of the RGB image (px).", rich_help_panel=DRIVES),
    ] = "512x288"
    sensors: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Settings of the sensors, as in config/simulation.yaml.",
            rich_help_panel=DRIVES,
        ),
    ] = None
    odometry: Annotated[
        float,
        typer.Option(
            help="Rate (Hz) at which /tf tells where base_link is in odom; 0: not at all.",
            rich_help_panel=BAGS,
        ),
    ] = 0.0
    raw_sweeps: Annotated[
        bool,
        typer.Option(
            "--raw-sweeps",
            help="Points where the moving LiDAR saw them, with their times, as drivers send them; "
            "otherwise compensated to the stamp.",
            rich_help_panel=BAGS,
        ),
    ] = False
    lidar_lag: Annotated[
        float,
        typer.Option(help="Time (s) from the camera to the LiDAR.", rich_help_panel=BAGS),
    ] = 0.0
    depth_lag: Annotated[
        float,
        typer.Option(help="Time (s) from the camera to depth.", rich_help_panel=BAGS),
    ] = 0.0
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="Make the splits of a recipe instead, as in config/simulation_benchmark.yaml.",
            rich_help_panel=RECIPE,
        ),
    ] = None
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Make nothing; check the content of DIR against the recipe's checksums.",
            rich_help_panel=RECIPE,
        ),
    ] = False
    record: Annotated[
        bool,
        typer.Option(
            "--record", help="Write the checksums into the recipe.", rich_help_panel=RECIPE
        ),
    ] = False


def simulate(options: SimulateOptions) -> None:
    """Drive through procedural streets and write what a vehicle's sensors measured.

    RGB, depth, LiDAR and events, with labels of DELIVER's 25 classes. It can be stopped at any
    time: the same command resumes. The same arguments give the same content.

    [dim]any2seg simulate --out data/streets --scenes 100 --frames 5 --rate 1[/dim]
    [dim]any2seg simulate --out drive --format bag --conditions night --scenes 1[/dim]
    [dim]any2seg simulate --out data/benchmark --recipe config/simulation_benchmark.yaml[/dim]
    """
    from any2seg_ros.simulation import job

    job.run(job.Options(**vars(options)))
