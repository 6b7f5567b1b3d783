"""From counts to the report.json of a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from any2seg_ros.evaluation.summary import number_or_none
from any2seg_ros.replay.fault_schedule import Fault
from any2seg_ros.replay.gallery import ReplayGallery
from any2seg_ros.replay.tally import IntervalCounts, ReplayTally
from any2seg_ros.runtime.bag_player import BagPlayer


@dataclass(frozen=True)
class Context:
    """What was replayed, as the report says it; `messages`: how many each topic got."""

    model: str
    engine: str
    faults: Sequence[Fault]
    partial: bool
    notes: Sequence[str]
    messages: Mapping[str, int]


def summarize(
    tally: ReplayTally, gallery: ReplayGallery, player: BagPlayer, context: Context
) -> dict[str, Any]:
    """report.json of a replay; mIoU and IoU in percent, what is not known is None."""
    counters = player.synchronizer.counters
    return {
        "kind": "replay",
        "model": context.model,
        "engine": context.engine,
        "data": str(player.path),
        "taxonomy": tally.taxonomy.name,
        "partial": context.partial,
        "notes": list(context.notes),
        "failures": [_fault(fault) for fault in context.faults],
        "frames": tally.frames,
        "masks": tally.masks,
        "blind": tally.blind,
        "complete": counters.complete,
        "incomplete": counters.incomplete,
        "late": counters.late,
        "resets": counters.resets,
        "subsets": dict(sorted(tally.subsets.items())),
        "unavailable": dict(sorted(tally.unavailable.items())),
        "confidence": tally.confidence / tally.masks if tally.masks else None,
        "scored": tally.scored,
        "miou": tally.confusion.miou() if tally.scored else None,
        "alone": gallery.alone(),
        "stretches": [_interval(counts) for counts in tally.intervals],
        "classes": {
            name: number_or_none(iou)
            for name, iou in zip(tally.taxonomy.classes, tally.confusion.iou(), strict=True)
        },
        "timeline": tally.timeline.rows(),
        "messages": dict(context.messages),
    }


def _interval(counts: IntervalCounts) -> dict[str, Any]:
    return {
        "begin": counts.interval.begin,
        "end": counts.interval.end,
        "failures": [fault.label for fault in counts.interval.faults],
        "frames": counts.masks,
        "blind": counts.blind,
        "miou": counts.confusion.miou() if counts.confusion is not None else None,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "modality": fault.modality.label,
        "kind": fault.kind,
        "begin": fault.begin,
        "end": fault.end,
    }
