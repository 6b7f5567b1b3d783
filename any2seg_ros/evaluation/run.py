"""Runs one evaluation: score the frames, share the work among processes, write the report."""

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
from any2seg_ros.interrupts import ignored_interrupts, uninterrupted

GATHER_TIMEOUT = timedelta(days=2)
"""How long a process that has finished waits for the others."""

Progress = Callable[[int, int, float | None], None]
"""Called after each frame with frames done, frames in all (0: unknown), and the frame's mIoU in
percent (None where it was left out)."""


@dataclass(frozen=True)
class Share:
    """This process's share of the frames: rank and number of processes, as torchrun sets them."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """From the environment; one process without torchrun."""
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

    Process 0 returns the report, the others None. Ctrl-C stops scoring early: the report then
    covers the frames scored so far and is marked partial; KeyboardInterrupt if there are none.
    While the report is written, Ctrl-C is ignored. ValueError if no frame could be scored.
    """
    evaluator = Evaluator(segmenter, config, source.groups)
    if share.rank == 0:
        _check_folder(out)
    partial = _score(evaluator, source, share, progress)
    with ignored_interrupts():
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
    """Make the folder; OSError now rather than after hours of work if it is not writable."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise PermissionError(f"{out} is not writable: name another folder (--out)")


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
        backbone=segmenter.backbone,
        image_size=segmenter.size,
        model_sha256=checksum(Path(model)),
        seed=evaluator.config.seed,
        partial=any(cut for _, _, cut in gathered),
        notes=list(dict.fromkeys(note for _, notes, _ in gathered for note in notes)),
        latencies_ms=evaluator.stopwatch.milliseconds(),
        cost=cost(evaluator.stopwatch),
    )


def _score(evaluator: Evaluator, source: Source, share: Share, progress: Progress) -> bool:
    """Score this process's frames; returns whether Ctrl-C stopped it early."""
    expected = -(-len(source) // share.world)
    try:
        for done, sample in enumerate(source.samples(share.rank, share.world), start=1):
            with uninterrupted():
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
    write_atomically(out / "report.html", evaluation_page(report, tally.gallery))
    return report


def _gather(mine: Any, share: Share) -> list[Any] | None:
    """Everybody's `mine` in order of ranks on process 0, None on the others."""
    if share.world == 1:
        return [mine]
    from torch import distributed

    distributed.init_process_group(
        "gloo", rank=share.rank, world_size=share.world, timeout=GATHER_TIMEOUT
    )
    try:
        gathered = [None] * share.world if share.rank == 0 else None
        distributed.gather_object(mine, gathered)
        return gathered
    finally:
        distributed.destroy_process_group()
