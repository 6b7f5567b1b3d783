"""`any2seg replay`: a bag through the code of the node, and "what if a sensor had failed"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def replay(
        bag: Annotated[Path, typer.Option(help="The bag: a folder, a .mcap or a .db3 file.")],
        out: Annotated[Path, typer.Option(help="Folder for the output bag and its reports.")],
        model: Annotated[
            Path | None, typer.Option(help="Weights (.safetensors); without it, the package's.")
        ] = None,
        drop: Annotated[
            list[str] | None,
            typer.Option(help="Lose sensors: rgb@2.0-5.0,lidar@* (s after the bag's start)."),
        ] = None,
        corrupt: Annotated[
            list[str] | None,
            typer.Option(help="Spoil sensors: rgb:night@3.0-,lidar:sparse@* and others, below."),
        ] = None,
        outputs: Annotated[
            str, typer.Option(help="Which of the node's topics are written; all by default.")
        ] = "",
        labels: Annotated[
            Path | None, typer.Option(help="Folder of label images, named by stamp in ns.")
        ] = None,
        topic: Annotated[
            list[str] | None,
            typer.Option(help="What a topic is, as rgb=/camera/image_raw or label=/truth."),
        ] = None,
        params_file: Annotated[
            Path | None,
            typer.Option(help="The node's parameters, as config/any2seg.yaml. Options win."),
        ] = None,
        engine: Annotated[
            str | None, typer.Option(help="auto, torch, openvino or onnxruntime.")
        ] = None,
        device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, ...")] = None,
        threads: Annotated[
            int | None, typer.Option(min=0, help="CPU threads; 0 leaves it to the engine.")
        ] = None,
        seed: Annotated[int, typer.Option(min=0, help="Of the noise of --corrupt.")] = 0,
    ) -> None:
        """Run a bag through the node's code, as fast as the machine allows.

        Writes the node's topics with the stamps of the bag, report.html and report.json with
        curves over time, and, if the bag has labels, mIoU. The same bag gives the same bytes.

        What --corrupt knows. rgb: night, fog, rain, overexposure, underexposure, motionblur, noise,
        saltpepper, black, white. depth: noise, holes, short, black. lidar: sparse, fog, jitter,
        noise. event: noise, sparse, lowres, positive.
        """
        from any2seg_ros.datasets import Labelling, parse_topics
        from any2seg_ros.engine import Segmenter
        from any2seg_ros.engine.segmenter import DEFAULT_MODEL
        from any2seg_ros.replay.fault_schedule import parse_corruptions, parse_drops
        from any2seg_ros.replay.run import Replay, ReplayConfig
        from any2seg_ros.resources import weights_path
        from any2seg_ros.runtime.outputs import TOPICS

        config = ReplayConfig(
            failures=parse_drops(",".join(drop or ())) + parse_corruptions(",".join(corrupt or ())),
            outputs=tuple(w.strip() for w in outputs.split(",")) if outputs else tuple(TOPICS),
            topics=parse_topics(topic or ()),
            labelling=Labelling((labels,) if labels else ()),
            seed=seed,
            parameters=_parameters(params_file),
        )
        given = {"model": model, "engine": engine, "device": device, "threads": threads}
        runs = replace(config.parameters.engine_config(), **_set(given))
        work = Replay(bag, Segmenter.open(runs), config)
        with _Bar() as progress:
            report = work.run(out, str(weights_path(runs.model or DEFAULT_MODEL)), progress)
        show(report, out)
        if report["partial"]:
            raise typer.Exit(130)


def _set(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given, paths as text; the others are what the node's parameters say."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in options.items()
        if value is not None
    }


def _parameters(path: Path | None) -> Any:
    from any2seg_ros.runtime.parameters import NodeParameters, load_parameters

    return load_parameters(path) if path else NodeParameters()


class _Bar:
    """Seconds of the bag done, and the time left."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("replaying"),
            BarColumn(),
            TextColumn("{task.completed:.1f} of {task.total:.1f} s of the bag, left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=0.0)
        self._bar.start()
        return self

    def __call__(self, done: float, total: float) -> None:
        self._bar.update(self._task, completed=done, total=max(total, done))

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def show(report: Mapping[str, Any], out: Path) -> None:
    """Print what became of each stretch of time."""
    import math

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(title=f"{report['data']}: {report['masks']} masks of {report['frames']} frames")
    table.add_column("time")
    table.add_column("failures")
    for name in ("masks", "blind", "mIoU %"):
        table.add_column(name, justify="right")
    for one in report["stretches"]:
        end = "the end" if math.isinf(one["end"]) else f"{one['end']:g} s"
        miou = "-" if one["miou"] is None else f"{one['miou']:.1f}"
        failures = ", ".join(one["failures"]) or "as recorded"
        masks, blind = str(one["frames"]), str(one["blind"])
        table.add_row(f"{one['begin']:g} s to {end}", failures, masks, blind, miou)
    console.print(table)
    for note in report["notes"]:
        console.print(f"[yellow]{escape(note)}")
    for why, count in report["unavailable"].items():
        console.print(f"[yellow]{count} frames without {escape(why)}")
    timing = report["timing"]
    console.print(
        f"{timing['bag_s']:.1f} s of driving in {timing['wall_s']:.1f} s"
        f"{'; interrupted: partial' if report['partial'] else ''}"
    )
    console.print(escape(str(out / "report.html")))
