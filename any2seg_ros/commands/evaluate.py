"""`any2seg evaluate`: score every subset of the sensors on data sets and on bags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from any2seg_ros.commands.options import (
    BAGS,
    ENGINE,
    Confidence,
    Device,
    Engine,
    LabelMap,
    Labels,
    Sure,
    Threads,
    Topic,
    labelling,
    words,
)

if TYPE_CHECKING:
    from any2seg_ros.evaluation.comparison import Row


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `any2seg evaluate`."""

    data: Annotated[
        Path | None,
        typer.Option(
            help="DELIVER, Streets, MUSES, a folder of labelled images, a bag, or a folder of bags."
        ),
    ] = None
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")] = Path(
        "evaluation"
    )
    split: Annotated[
        str,
        typer.Option(
            help="train, val or test; bags have none; of a folder of images, val/6 is every sixth "
            "sequence."
        ),
    ] = "val"
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of frames; 0: all.")] = 0
    protocol: Annotated[
        str,
        typer.Option(
            help="What stands for an absent sensor. drop: nothing, as in the node; zero: an image "
            "of zeros. (default: drop, if the network can leave a sensor out)",
            show_default=False,
        ),
    ] = ""
    modalities: Annotated[
        str, typer.Option(help="Evaluate only these sensors and their subsets, such as rgb+lidar.")
    ] = ""
    robustness: Annotated[
        str, typer.Option(help="Tables besides the subsets: some of rmm,nm,noise, or none.")
    ] = "rmm,nm"
    latency_frames: Annotated[
        int, typer.Option(min=0, help="Number of frames to time every subset on.")
    ] = 5
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Compare two report.json (or their folders) instead of evaluating."),
    ] = None
    labels: Labels = None
    label_map: LabelMap = None
    confidence: Confidence = None
    sure: Sure = 0.8
    topic: Topic = None
    motion_compensation: Annotated[
        str,
        typer.Option(
            metavar="FRAME",
            help="Move measurements to the time of their frame by the vehicle's motion in this "
            "frame of /tf, such as odom.",
            rich_help_panel=BAGS,
        ),
    ] = ""
    model: Annotated[
        Path | None,
        typer.Option(
            help="Weights: .safetensors, or a published .pth (AnySeg, RobustSeg, CMNeXt, "
            "StitchFusion). (default: those of the package)",
            show_default=False,
            rich_help_panel=ENGINE,
        ),
    ] = None
    engine: Engine = "auto"
    device: Device = "auto"
    threads: Threads = 0
    image_size: Annotated[
        tuple[int, int],
        typer.Option(
            help="Width and height (px) of the network's input. (default: as trained)",
            show_default=False,
            rich_help_panel=ENGINE,
        ),
    ] = (0, 0)


def evaluate(options: EvaluateOptions) -> None:
    """Score a network on every subset of its sensors.

    Writes report.json and report.html: mIoU, calibration and latency by subset, by condition and
    by class, when sensors fail at random (EMM, RMM) and under noise (NM as published, or clipped
    to a sensor's range). Ctrl-C stops early and reports on the frames scored so far. Several
    processes share the work:

    torchrun --nproc-per-node 4 -m any2seg_ros.cli evaluate --data D --out DIR
    """
    if options.compare:
        show_comparison(*options.compare, options.out)
        return
    if options.data is None:
        raise typer.BadParameter("nothing to evaluate on: add --data PATH")
    report = _run(options, options.data)
    if report is None:
        return
    show(report, options.out)
    if report["partial"]:
        raise typer.Exit(130)


def _run(options: EvaluateOptions, data: Path) -> dict[str, Any] | None:
    """The report; None in all processes but the first."""
    from any2seg_ros.datasets import Target, open_source
    from any2seg_ros.engine import EngineConfig, Segmenter
    from any2seg_ros.evaluation.evaluator import EvaluationConfig
    from any2seg_ros.evaluation.run import Share
    from any2seg_ros.evaluation.run import evaluate as run
    from any2seg_ros.progress import ProgressBar
    from any2seg_ros.resources import DEFAULT_WEIGHTS, weights_path
    from any2seg_ros.types import Modality, parse_subset

    model = weights_path(str(options.model or DEFAULT_WEIGHTS))
    engine, device = options.engine or "auto", options.device or "auto"
    width, height = options.image_size
    segmenter = Segmenter.open(
        EngineConfig(str(model), engine, device, options.threads or 0, width=width, height=height)
    )
    known = () if segmenter.modalities == tuple(Modality) else segmenter.modalities
    wanted = parse_subset(options.modalities) if options.modalities else known
    source = open_source(
        data,
        Target.of(segmenter),
        options.split,
        options.limit,
        labelling(options.labels, options.label_map, options.confidence, options.sure),
        options.topic or (),
        wanted,
        leave_out=True,
        motion_compensation=options.motion_compensation,
    )
    config = EvaluationConfig(
        protocol=options.protocol or ("drop" if segmenter.leaves_out else "zero"),
        modalities=wanted or source.modalities,
        robustness=words(options.robustness),
        seed=options.seed,
        latency_frames=options.latency_frames,
    )
    share = Share.from_environment()
    with ProgressBar("evaluating", unit="frames", shown=share.rank == 0) as bar:

        def progress(done: int, total: int, miou: float | None) -> None:
            bar.update(done, total, "left out" if miou is None else f"mIoU {miou:.1f}")

        return run(segmenter, source, config, str(model), options.out, share, progress)


def show(report: Mapping[str, Any], out: Path) -> None:
    """Print the table of subsets and the other figures of a report."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    console.print(_table(report))
    if report["cost"]:
        ratio = report["cost"]["all_subsets_vs_full"]
        console.print(f"all subsets together cost {ratio:.2f} times the full set")
    for note in report["notes"]:
        console.print(f"[yellow]{escape(note)}")
    for reason, count in report["left_out"].items():
        console.print(f"[yellow]{count} frames left out: {escape(reason)}")
    if report["partial"]:
        console.print("[yellow]interrupted: the report is partial")
    console.print(escape(f"{out / 'report.html'}\n{out / 'report.json'}"))


def _table(report: Mapping[str, Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from any2seg_ros.evaluation.summary import head

    table = Table(title=escape(f"{head(report)}: {report['frames']} frames"))
    table.add_column("sensors")
    for name in ("mIoU %", "ECE", "latency ms"):
        table.add_column(name, justify="right")
    for name, row in report["subsets"].items():
        table.add_row(
            name, _digits(row["miou"]), _digits(row["ece"], 3), _digits(row["latency_ms"])
        )
    table.add_section()
    table.add_row("mean", _digits(report["mean"]))
    worst = report["worst"]
    table.add_row(f"worst: {worst['subset']}", _digits(worst["miou"]))
    titles = {"emm": "EMM", "rmm": "RMM", "nm": "NM", "noise": "clipped noise"}
    for name, title in titles.items():
        if report[name]:
            values = ", ".join(f"{key}: {_digits(v)}" for key, v in report[name].items())
            table.add_row(title, values)
    for title, errors in _calibration_errors(report["calibration"]).items():
        values = ", ".join(f"{key}: {_digits(v, 3)}" for key, v in errors.items())
        table.add_row(f"ECE, {title}", values)
    return table


def _calibration_errors(calibration: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the table says of calibration where it is hard: the worst of the subsets."""
    found = {
        "NM": calibration["nm"],
        "clipped noise": calibration["noise"],
        "RMM, worst": {k: v["worst"]["ece"] for k, v in (calibration["rmm"] or {}).items()},
        "all sensors": {k: v["full"] for k, v in calibration["conditions"].items()},
        "worst subset": {k: v["worst"]["ece"] for k, v in calibration["conditions"].items()},
    }
    return {title: errors for title, errors in found.items() if errors}


def show_comparison(first: Path, second: Path, out: Path) -> None:
    """Print two reports side by side, and write them to comparison.html."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from any2seg_ros.evaluation.comparison import compare, comparison_page, remarks, tables
    from any2seg_ros.evaluation.summary import head, load
    from any2seg_ros.files import write_atomically

    a, b = load(first), load(second)
    console = Console()
    for title, rows in tables(compare(a, b)):
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for name in (f"{first}: {head(a)}", f"{second}: {head(b)}", "difference"):
            table.add_column(escape(name), justify="right", overflow="fold")
        for row in rows:
            name = escape(row.name)
            table.add_row(name, _digits(row.first, 2), _digits(row.second, 2), _signed(row))
        console.print(table)
    for remark in remarks(a, b):
        console.print(f"[yellow]{escape(remark)}")
    write_atomically(out / "comparison.html", comparison_page(a, b))
    console.print(escape(str(out / "comparison.html")))


def _digits(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(row: Row) -> str:
    if row.difference is None:
        return "-"
    colour = "green" if row.gain > 0 else "red" if row.gain < 0 else "dim"
    return f"[{colour}]{row.difference:+.2f}"
