"""`any2seg replay`: run a bag through the node's code, and ask what if a sensor had failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from any2seg_ros.commands.options import (
    BAGS,
    Device,
    Engine,
    Model,
    Threads,
    Topic,
    words,
)

FAULTS = "Faults"


@dataclass(frozen=True)
class ReplayOptions:
    """Options of `any2seg replay`; what is None is left to the parameters of the node."""

    bag: Annotated[Path, typer.Option(help="The bag: a folder, a .mcap or a .db3 file.")]
    out: Annotated[Path, typer.Option(help="Folder for the output bag and the report.")]
    outputs: Annotated[
        str, typer.Option(help="Write only these of the node's topics, such as mask,status.")
    ] = ""
    params_file: Annotated[
        Path | None,
        typer.Option(help="Parameters of the node, as in config/any2seg.yaml. Options win."),
    ] = None
    drop: Annotated[
        list[str] | None,
        typer.Option(
            help="Drop sensors: rgb@2.0-5.0,lidar@* (s after the bag's start). Repeatable.",
            rich_help_panel=FAULTS,
        ),
    ] = None
    corrupt: Annotated[
        list[str] | None,
        typer.Option(
            help="Corrupt sensors: rgb:night@3.0-,lidar:sparse@*. Repeatable.",
            rich_help_panel=FAULTS,
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.", rich_help_panel=FAULTS)] = 0
    labels: Annotated[
        Path | None,
        typer.Option(help="Folder of label images named <stamp in ns>.png.", rich_help_panel=BAGS),
    ] = None
    topic: Topic = None
    model: Model = None
    engine: Engine = None
    device: Device = None
    threads: Threads = None


def replay(options: ReplayOptions) -> None:
    """Run a bag through the node's code, as fast as the machine allows.

    Writes what the node would publish, with the bag's stamps, to an output bag; report.html and
    report.json with curves over time, a film strip of each sensor alone and all together (also as
    film_strip.jpg), and mIoU if there are labels. The same bag gives the same bytes.

    Corruptions. rgb: night, fog, rain, overexposure, underexposure, motionblur, noise, saltpepper,
    black, white. depth: noise, holes, short, black. lidar: sparse, fog, jitter, noise. event:
    noise, sparse, lowres, positive.
    """
    from any2seg_ros.datasets import parse_topics
    from any2seg_ros.engine import Segmenter
    from any2seg_ros.progress import ProgressBar
    from any2seg_ros.replay.config import ReplayConfig
    from any2seg_ros.replay.fault_schedule import parse_corruptions, parse_drops
    from any2seg_ros.replay.run import Replay
    from any2seg_ros.resources import DEFAULT_WEIGHTS, weights_path
    from any2seg_ros.runtime.outputs import TOPICS

    drops, corruptions = ",".join(options.drop or ()), ",".join(options.corrupt or ())
    config = ReplayConfig(
        faults=parse_drops(drops) + parse_corruptions(corruptions),
        outputs=words(options.outputs) or tuple(TOPICS),
        topics=parse_topics(options.topic or ()),
        labels=options.labels,
        seed=options.seed,
        parameters=_parameters(options.params_file),
    )
    engine = replace(config.parameters.engine_config(), **_engine_options(options))
    work = Replay(options.bag, Segmenter.open(engine), config)
    with ProgressBar("replaying", unit="s of the bag", digits=1) as bar:
        report = work.run(
            options.out, str(weights_path(engine.model or DEFAULT_WEIGHTS)), bar.update
        )
    show(report, options.out)
    if report["partial"]:
        raise typer.Exit(130)


def _engine_options(options: ReplayOptions) -> dict[str, Any]:
    """Those that were given."""
    given = {
        "model": None if options.model is None else str(options.model),
        "engine": options.engine,
        "device": options.device,
        "threads": options.threads,
    }
    return {name: value for name, value in given.items() if value is not None}


def _parameters(path: Path | None) -> Any:
    from any2seg_ros.runtime.parameters import NodeParameters, load_parameters

    return load_parameters(path) if path else NodeParameters()


def show(report: Mapping[str, Any], out: Path) -> None:
    """Print what became of the frames, by interval of the fault schedule."""
    import math

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    title = f"{report['data']}: {report['masks']} masks of {report['frames']} frames"
    table = Table(title=escape(title))
    table.add_column("time")
    table.add_column("faults")
    for name in ("masks", "blind", "mIoU %"):
        table.add_column(name, justify="right")
    for one in report["stretches"]:
        end = "the end" if math.isinf(one["end"]) else f"{one['end']:g} s"
        miou = "-" if one["miou"] is None else f"{one['miou']:.1f}"
        faults = ", ".join(one["failures"]) or "as recorded"
        masks, blind = str(one["frames"]), str(one["blind"])
        table.add_row(f"{one['begin']:g} s to {end}", faults, masks, blind, miou)
    console.print(table)
    for name, one in report["alone"].items():
        console.print(
            f"{name} alone: confidence {one['confidence']:.2f}, "
            f"agrees with all together on {one['agreement']:.0f} % of the pixels"
        )
    for note in report["notes"]:
        console.print(f"[yellow]{escape(note)}")
    for why, count in report["unavailable"].items():
        console.print(f"[yellow]{count} frames without {escape(why)}")
    timing = report["timing"]
    console.print(
        f"{timing['bag_s']:.1f} s of the bag in {timing['wall_s']:.1f} s"
        f"{'; interrupted: partial' if report['partial'] else ''}"
    )
    console.print(escape(str(out / "report.html")))
