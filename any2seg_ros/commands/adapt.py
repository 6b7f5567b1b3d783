"""`any2seg adapt`: better weights for a vehicle from its own drives, without a label."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from any2seg_ros.commands.options import (
    ENGINE,
    Confidence,
    LabelMap,
    Labels,
    Model,
    Sure,
    Threads,
    Topic,
    labelling,
)

if TYPE_CHECKING:
    from rich.console import Console

    from any2seg_ros.adaptation.config import AdaptationConfig
    from any2seg_ros.adaptation.result import Outcome


@dataclass(frozen=True)
class AdaptOptions:
    """Options of `any2seg adapt`."""

    data: Annotated[
        list[Path], typer.Option(help="Bag, or folder of bags. Repeatable.", metavar="BAG")
    ]
    out: Annotated[Path, typer.Option(help="Folder of the weights, the report and the work.")]
    minutes: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Processor minutes of training: two cores take half as long by the clock. "
            "On a GPU, minutes by the clock. Reading and judging come on top.",
        ),
    ] = 10.0
    scope: Annotated[
        str,
        typer.Option(
            help="What is trained of the sensors that have something to learn: all, or adapters "
            "(faster, and changes little)."
        ),
    ] = "all"
    frames: Annotated[
        int, typer.Option(min=20, help="Frames that are kept of all bags together, at most.")
    ] = 600
    streets: Annotated[
        Path | None,
        typer.Option(
            help="Streets (DELIVER's folders) with train and val, so that nothing is forgotten. "
            "(default: a small one, rendered once into the user's cache folder)",
            show_default=False,
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0
    topic: Topic = None
    labels: Labels = None
    label_map: LabelMap = None
    confidence: Confidence = None
    sure: Sure = 0.6
    model: Model = None
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=ENGINE)] = "auto"
    threads: Threads = 0


def adapt(options: AdaptOptions) -> None:
    """Adapt weights to a vehicle's own drives, without labels.

    What its sensors agree on teaches each of them. The last third of each bag is held back: new
    weights that are not better there, or worse on Streets, are not kept. The result is
    OUT/weights.safetensors, and OUT/report.html with pictures before and after. The same command
    resumes; Ctrl-C keeps the best weights so far. Labels in the bags are not read.

    [dim]any2seg adapt --data drive.mcap --out adapted[/dim]
    [dim]torchrun --nproc-per-node 2 -m any2seg_ros.cli adapt --data DRIVES --out adapted[/dim]
    """
    from rich.console import Console

    from any2seg_ros.adaptation.run import Adaptation
    from any2seg_ros.training import distributed

    rank, _ = distributed.start()
    console = Console(stderr=True, quiet=rank > 0)
    try:
        with _Bars(console) as bars:
            outcome = Adaptation(_config(options), console.print, bars.update).run()
    finally:
        distributed.stop()
    if not rank:
        show(outcome, options.out)


class _Bars:
    """A progress bar for each stage, one after the other."""

    def __init__(self, console: Console) -> None:
        self._console, self._stage = console, ""
        self._open = ExitStack()

    def update(self, done: float, total: float, what: str) -> None:
        """What is done of a stage; `what` is its name, and after a comma what to say beside."""
        from any2seg_ros.progress import ProgressBar

        stage, _, detail = what.partition(", ")
        if stage != self._stage:
            self._open.close()
            self._bar = self._open.enter_context(ProgressBar(stage, console=self._console))
            self._stage = stage
        self._bar.update(done, total, detail)

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


def _config(options: AdaptOptions) -> AdaptationConfig:
    from any2seg_ros.adaptation.config import AdaptationConfig
    from any2seg_ros.resources import DEFAULT_WEIGHTS

    return AdaptationConfig(
        bags=tuple(options.data),
        out=options.out,
        model=str(options.model or DEFAULT_WEIGHTS),
        minutes=options.minutes,
        scope=options.scope,
        frames=options.frames,
        streets=options.streets,
        topics=tuple(options.topic or ()),
        labelling=labelling(options.labels, options.label_map, options.confidence, options.sure),
        seed=options.seed,
        device=options.device,
        threads=options.threads or 0,
    )


def show(outcome: Outcome, out: Path) -> None:
    """Print what became of an adaptation."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    before, after = outcome.before, outcome.after
    table = Table(title="before and after, on the part that was held back and on Streets val")
    table.add_column("sensors")
    for name in ("sure pixels, accuracy %", "confidence %", "Streets val, mIoU %"):
        table.add_column(name, justify="right")
    for name in before.sure_accuracy:
        rows = ("sure_accuracy", "confidence", "streets")
        pairs = [(getattr(before, row).get(name), getattr(after, row).get(name)) for row in rows]
        table.add_row(name, *(_pair(*pair) for pair in pairs))
    console.print(table)
    for name, reasons in outcome.why_not.items():
        if reasons:
            console.print(f"[yellow]{escape(name)}: {escape('; '.join(reasons))}")
    for note in outcome.notes:
        console.print(f"[yellow]{escape(note)}")
    if outcome.better:
        console.print(f"new weights ({outcome.chosen}):")
        console.print(escape(str(out / "weights.safetensors")))
    else:
        console.print("the old weights stay: no others were better without losing elsewhere")
    console.print(escape(str(out / "report.html")))


def _pair(old: float | None, new: float | None) -> str:
    return "-" if old is None or new is None else f"{old:.1f} -> {new:.1f}"
