"""`any2seg simulate`: drive through streets and write what the sensors measured, with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def simulate(
        out: Annotated[
            Path,
            typer.Option(
                metavar="DIR", help="Folder of the data set; with --format bag, of the bags."
            ),
        ],
        format: Annotated[
            str,
            typer.Option(
                help="[bold]deliver[/bold]: DELIVER's folders and raw measurements; "
                "[bold]bag[/bold]: ROS 2 bags; a single drive's bag is DIR itself."
            ),
        ] = "deliver",
        split: Annotated[
            str,
            typer.Option(
                help="train, val or test. They share no street; test has streets of another kind."
            ),
        ] = "train",
        scenes: Annotated[int, typer.Option(help="Drives, each through a town of its own.")] = 10,
        frames: Annotated[int, typer.Option(help="Frames of each drive.")] = 10,
        rate: Annotated[
            float,
            typer.Option(help="Frames in a second; 0: 2 for deliver, 10 for bags."),
        ] = 0.0,
        conditions: Annotated[
            str,
            typer.Option(
                help="Some of cloud, fog, night, rain, sun, with commas; drives take turns."
            ),
        ] = "cloud,fog,night,rain,sun",
        failures: Annotated[
            str,
            typer.Option(
                help="Some of motionblur, overexposure, underexposure, lidarjitter, eventlowres, "
                "with commas, or none; "
                "they strike a third of the drives. [default: all for deliver, none for bags]",
                show_default=False,
            ),
        ] = "",
        seed: Annotated[int, typer.Option(min=0, help="Another seed, another world.")] = 0,
        first: Annotated[int, typer.Option(help="Number of the first drive of a bag.")] = 0,
        size: Annotated[
            str, typer.Option(metavar="WxH", help="Size of the RGB image.")
        ] = "512x288",
        jobs: Annotated[
            int,
            typer.Option(
                help="Processes; the output is the same for any number. 0: one for each core."
            ),
        ] = 0,
        sensors: Annotated[
            Path | None,
            typer.Option(
                metavar="YAML", help="Settings of the sensors; see config/simulation.yaml."
            ),
        ] = None,
        recipe: Annotated[
            Path | None,
            typer.Option(
                metavar="YAML",
                help="Make the splits of a recipe instead, as config/simulation_benchmark.yaml.",
            ),
        ] = None,
        verify: Annotated[
            bool,
            typer.Option(
                "--verify", help="Compare what is in DIR with the recipe's checksums; make nothing."
            ),
        ] = False,
        record: Annotated[
            bool, typer.Option("--record", help="Write the checksums into the recipe.")
        ] = False,
    ) -> None:
        """Drive through procedural streets and write what a vehicle's sensors measured.

        RGB, depth, LiDAR and events with labels of DELIVER's 25 classes. May be stopped at any
        moment: the same command goes on where it was. The same arguments give the same content.

        [dim]any2seg simulate --out data/streets --scenes 100 --frames 5 --rate 1[/dim]
        [dim]any2seg simulate --out drive --format bag --conditions night --scenes 1[/dim]
        [dim]any2seg simulate --out data/benchmark --recipe config/simulation_benchmark.yaml[/dim]
        """
        from any2seg_ros.simulation import job

        options = job.Options(
            out=out, format=format, split=split, scenes=scenes, frames=frames, rate=rate,
            conditions=conditions, failures=failures, seed=seed, first=first, size=size, jobs=jobs,
            sensors=sensors, recipe=recipe, verify=verify, record=record,
        )  # fmt: skip
        job.run(options)
