"""`any2seg evaluate`: every subset of the sensors, on data sets and on bags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from any2seg_ros.evaluation.comparison import Row


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def evaluate(
        data: Annotated[
            Path | None,
            typer.Option(
                help="DELIVER, Streets, MUSES, a folder of labelled images, a bag, or bags."
            ),
        ] = None,
        model: Annotated[
            Path | None,
            typer.Option(help="Weights (.safetensors); without it, those of the package."),
        ] = None,
        out: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")] = Path(
            "evaluation"
        ),
        split: Annotated[
            str,
            typer.Option(
                help="train, val or test; bags have none; of a folder of images val/6 is every "
                "sixth sequence."
            ),
        ] = "val",
        protocol: Annotated[
            str, typer.Option(help="drop: an absent sensor is left out; zero: it is a zero image.")
        ] = "drop",
        modalities: Annotated[
            str, typer.Option(help="Only these sensors and their subsets, such as rgb+lidar.")
        ] = "",
        robustness: Annotated[
            str, typer.Option(help="Noise tables besides the subsets: rmm,nm, one of them or none.")
        ] = "rmm,nm",
        engine: Annotated[str, typer.Option(help="auto, torch, openvino or onnxruntime.")] = "auto",
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
        threads: Annotated[
            int, typer.Option(min=0, help="CPU threads; 0 leaves it to the engine.")
        ] = 0,
        limit: Annotated[int, typer.Option(min=0, help="At most this many frames; 0 is all.")] = 0,
        latency_frames: Annotated[
            int, typer.Option(min=0, help="Frames on which every subset is timed.")
        ] = 5,
        seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
        labels: Annotated[
            list[Path] | None,
            typer.Option(
                help="Bags: folder of label images, named by stamp in ns; another one narrows it."
            ),
        ] = None,
        label_map: Annotated[
            list[str] | None,
            typer.Option(
                help="What label ids mean, for each --labels or a folder of images: a YAML file, "
                "or camvid, cityscapes, ... of the package."
            ),
        ] = None,
        confidence: Annotated[
            Path | None, typer.Option(help="Bags: folder of how sure the labels are, 255 for 1.")
        ] = None,
        sure: Annotated[
            float, typer.Option(help="With --confidence: labels less sure are not scored.")
        ] = 0.8,
        topic: Annotated[
            list[str] | None,
            typer.Option(help="Bags: what a topic is, as rgb=/camera/image_raw or label=/truth."),
        ] = None,
        compare: Annotated[
            tuple[Path, Path] | None,
            typer.Option(help="Instead: two report.json, or their folders, side by side."),
        ] = None,
    ) -> None:
        """Score a network for every subset of its sensors.

        Writes report.json and report.html: mIoU, calibration and latency by subset, by condition
        and class, when sensors fail at random (EMM, RMM) and under noise (NM). Ctrl-C keeps what
        was scored so far. Many processes share the work:

        torchrun --nproc-per-node 4 -m any2seg_ros.cli evaluate --data D --out DIR
        """
        if compare:
            show_comparison(*compare, out)
            return
        if data is None:
            raise typer.BadParameter("say what to evaluate on: --data PATH")
        from any2seg_ros.datasets import Labelling, Target, open_source
        from any2seg_ros.engine import EngineConfig, Segmenter
        from any2seg_ros.engine.segmenter import DEFAULT_MODEL
        from any2seg_ros.evaluation.evaluator import EvaluationConfig
        from any2seg_ros.evaluation.run import Share
        from any2seg_ros.evaluation.run import evaluate as run
        from any2seg_ros.resources import weights_path
        from any2seg_ros.types import parse_subset

        path = weights_path(str(model or DEFAULT_MODEL))
        share = Share.from_environment()
        segmenter = Segmenter.open(EngineConfig(str(path), engine, device, threads))
        wanted = parse_subset(modalities) if modalities else ()
        target = Target.of(segmenter)
        labelling = Labelling(
            tuple(labels or ()), tuple(label_map or ()), confidence, sure if confidence else 0.0
        )
        source = open_source(
            data, target, split, limit, labelling, topic or (), wanted, leave_out=True
        )
        config = EvaluationConfig(
            protocol=protocol,
            modalities=wanted or source.modalities,
            robustness=_words(robustness),
            seed=seed,
            latency_frames=latency_frames,
        )
        with _progress(share.rank == 0) as progress:
            report = run(segmenter, source, config, str(path), out, share, progress)
        if report is None:
            return
        show(report, out)
        if report["partial"]:
            raise typer.Exit(130)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip() not in ("", "none"))


class _progress:
    """A bar with frames, the latest mIoU and the time left; silent where `shown` is false."""

    def __init__(self, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("evaluating"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames, {task.description}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Any:
        self._bar.start()
        return self

    def __call__(self, done: int, total: int, miou: float | None) -> None:
        said = "left out" if miou is None else f"mIoU {miou:.1f}"
        self._bar.update(self._task, completed=done, total=total or None, description=said)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def show(report: Mapping[str, Any], out: Path) -> None:
    """Print the table of subsets and the figures beside it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    split = f", {report['split']}" if report["split"] else ""
    table = Table(
        title=f"{report['data']}{split}: {report['frames']} frames, protocol {report['protocol']}"
    )
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
    for name in ("emm", "rmm", "nm"):
        if report[name]:
            values = ", ".join(f"{key}: {_digits(v)}" for key, v in report[name].items())
            table.add_row(name.upper(), values)
    console.print(table)
    if report["cost"]:
        console.print(f"all subsets cost {report['cost']['all_subsets_vs_full']:.2f} full sets")
    for note in report["notes"]:
        console.print(f"[yellow]{escape(note)}")
    for reason, count in report["left_out"].items():
        console.print(f"[yellow]{count} frames left out: {escape(reason)}")
    if report["partial"]:
        console.print("[yellow]interrupted: the report is partial")
    console.print(escape(f"{out / 'report.html'}\n{out / 'report.json'}"))


def show_comparison(first: Path, second: Path, out: Path) -> None:
    """Print two reports side by side, and write them to comparison.html."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from any2seg_ros.evaluation.comparison import compare, comparison_page, remarks, tables
    from any2seg_ros.evaluation.summary import load
    from any2seg_ros.files import write_atomically

    a, b = load(first), load(second)
    console = Console()
    for title, rows in tables(compare(a, b)):
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for name in (str(first), str(second), "difference"):
            table.add_column(name, justify="right", overflow="fold")
        for row in rows:
            table.add_row(row.name, _digits(row.first, 2), _digits(row.second, 2), _signed(row))
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
    gain = -row.difference if row.lower_is_better else row.difference
    colour = "green" if gain > 0 else "red" if gain < 0 else "dim"
    return f"[{colour}]{row.difference:+.2f}"
