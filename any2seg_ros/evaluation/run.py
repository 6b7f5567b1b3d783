"""One evaluation from beginning to end: walk the data, share the work, write the reports."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from any2seg_ros.datasets import LeftOut, Source
from any2seg_ros.engine import Segmenter
from any2seg_ros.evaluation import summary
from any2seg_ros.evaluation.evaluator import EvaluationConfig, Evaluator, cost
from any2seg_ros.evaluation.page import evaluation_page
from any2seg_ros.evaluation.summary import Context
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.files import checksum, write_atomically
from any2seg_ros.interrupts import Interrupt, ignored

PATIENCE = timedelta(days=2)
"""How long a process that is done waits for the others."""

Progress = Callable[[int, int, float | None], None]
"""Called after each frame with frames done, frames to do (0: unknown), and the frame's mIoU."""


@dataclass(frozen=True)
class Share:
    """Which process of how many this is; torchrun says so in the environment."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """What torchrun says; one process without it."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


def evaluate(
    segmenter: Segmenter,
    source: Source,
    config: EvaluationConfig,
    model: str,
    out: Path,
    share: Share = Share(),
    progress: Progress = lambda done, total, miou: None,
) -> dict[str, Any] | None:
    """Score the source's frames and write report.json and report.html to `out`.

    The report is returned by process 0, None by the others. Ctrl-C ends the walk early: the report
    is then of the frames scored so far and marked partial; KeyboardInterrupt where that is none.
    Once the walk has ended it does nothing. ValueError if no frame could be scored.
    """
    evaluator = Evaluator(segmenter, config, source.groups)
    if share.rank == 0:
        _check_folder(out)
    partial = _walk(evaluator, source, share, progress)
    with ignored():
        gathered = _gather((evaluator.tally, list(source.notes), partial), share)
        if gathered is None:
            return None
        context = _context(evaluator, source, model, gathered)
        tally = gathered[0][0]
        for other, _, _ in gathered[1:]:
            tally += other
        if context.partial and not tally.frames:
            raise KeyboardInterrupt
        return _write(tally, context, out)


def _check_folder(out: Path) -> None:
    """Make the folder; OSError now, not after hours of work, where nothing can be written."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise PermissionError(f"{out} cannot be written to: name another folder (--out)")


def _context(
    evaluator: Evaluator, source: Source, model: str, gathered: list[tuple[Tally, list[str], bool]]
) -> Context:
    segmenter = evaluator.segmenter
    return Context(
        model=model,
        data=source.name,
        split=source.split,
        protocol=evaluator.config.protocol,
        taxonomy=evaluator.groups.as_taxonomy,
        engine=segmenter.description,
        model_sha256=checksum(Path(model)),
        seed=evaluator.config.seed,
        partial=any(cut for _, _, cut in gathered),
        notes=list(dict.fromkeys(note for _, notes, _ in gathered for note in notes)),
        latencies_ms=evaluator.stopwatch.milliseconds(),
        cost=cost(evaluator.stopwatch),
    )


def _walk(evaluator: Evaluator, source: Source, share: Share, progress: Progress) -> bool:
    """Score this process's frames; whether Ctrl-C cut it short."""
    expected = -(-len(source) // share.world)
    interrupt = Interrupt()
    try:
        for done, sample in enumerate(source.samples(share.rank, share.world), start=1):
            with interrupt.held():
                if isinstance(sample, LeftOut):
                    evaluator.tally.leave_out(sample.reason, sample.example)
                    miou = None
                else:
                    miou = evaluator.add(sample)
            progress(done, max(expected, done) if expected else 0, miou)
    except KeyboardInterrupt:
        return True
    return False


def _write(tally: Tally, context: Context, out: Path) -> dict[str, Any]:
    report = summary.summarize(tally, context)
    write_atomically(out / "report.json", summary.dumps(report))
    write_atomically(out / "report.html", evaluation_page(report, tally.extremes))
    return report


def _gather(mine: Any, share: Share) -> list[Any] | None:
    """What every process has, in order of their ranks, for process 0; None for the others."""
    if share.world == 1:
        return [mine]
    from torch import distributed

    distributed.init_process_group(
        "gloo", rank=share.rank, world_size=share.world, timeout=PATIENCE
    )
    try:
        gathered = [None] * share.world if share.rank == 0 else None
        distributed.gather_object(mine, gathered)
        return gathered
    finally:
        distributed.destroy_process_group()
