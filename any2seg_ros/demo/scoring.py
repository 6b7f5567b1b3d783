"""Scores a run: rate, latency and mIoU per phase, loss of all sensors, and recovery."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from any2seg_ros.demo.recorder import RecordedImage, RecordedStatus, Recording
from any2seg_ros.demo.schedule import Phase
from any2seg_ros.metrics import Confusion
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality, subset_name

REFERENCE_RATE_HZ = 10.0
STAMP_TOLERANCE = 1_000_000
"""Stamps closer than this (ns) are equal: bags round to the resolution of their clocks."""


@dataclass(frozen=True)
class Run:
    """The data of a run: wall times in ns; ground truth by ns since the start of the bag."""

    phases: Sequence[Phase]
    starts: Sequence[int]
    first_published: Mapping[tuple[int, Modality], int]
    recording: Recording
    truth: Mapping[int, np.ndarray]
    node_exit_code: int | None


def score(run: Run, taxonomy: Taxonomy) -> dict:
    """The content of report.json; docs/demo.md describes the keys."""
    phases = [_score_phase(run, index, taxonomy) for index in range(len(run.phases))]
    recovered = recoveries(run)
    return {
        "reference_rate_hz": REFERENCE_RATE_HZ,
        "phases": phases,
        "recovery_s": _longest(recovered.values()),
        "recovery_by_sensor_s": {m.label: seconds for m, seconds in recovered.items()},
        "loss_reported_after_s": loss_reported_after(run),
        "masks_without_sensors": sum(
            phase["frames_published"] for phase in phases if not phase["subset"]
        ),
        "masks_with_wrong_status": sum(
            _with_wrong_status(run, index) for index in range(len(run.phases))
        ),
        "node_exit_code": run.node_exit_code,
    }


def failures(report: dict) -> list[str]:
    """What a report says that must not be, in words; empty after a demo that went well."""
    counts = ("node_exit_code", "masks_without_sensors", "masks_with_wrong_status")
    failed = [f"{key} is {report[key]}, not 0" for key in counts if report[key] != 0]
    if not any(phase["frames_published"] for phase in report["phases"]):
        failed.append("no mask came")
    return failed


def masks_of(run: Run, index: int) -> list[RecordedImage]:
    """The masks stamped within phase `index`, by arrival."""
    begin = run.starts[index] - STAMP_TOLERANCE
    end = begin + int(run.phases[index].seconds * 1e9)
    return [mask for mask in run.recording.masks if begin <= mask.stamp < end]


def status_by_stamp(run: Run) -> dict[int, RecordedStatus]:
    """The status published with each mask, by their common stamp."""
    return {status.stamp: status for status in run.recording.statuses if status.weights}


def truth_of(run: Run, index: int, stamp: int) -> np.ndarray | None:
    """The label image nearest to a stamp of phase `index`; None if over half a period away."""
    wanted = stamp - run.starts[index]
    stamps = sorted(run.truth)
    near = bisect_left(stamps, wanted)
    candidates = stamps[max(near - 1, 0) : near + 1]
    best = min(candidates, key=lambda s: abs(s - wanted), default=None)
    if best is None or abs(best - wanted) > 0.5e9 / REFERENCE_RATE_HZ:
        return None
    return run.truth[best]


def _longest(seconds: Collection[float | None]) -> float | None:
    """The maximum; None if there is no value or one is None."""
    ended = [second for second in seconds if second is not None]
    return max(ended) if ended and len(ended) == len(seconds) else None


def recoveries(run: Run) -> dict[Modality, float | None]:
    """Seconds from a returning sensor's first message to the first mask that used it.

    For the sensors that return after the phase without sensors; None: never used again.
    """
    index = next((i for i, phase in enumerate(run.phases) if not phase.subset), None)
    if index is None or index + 1 == len(run.phases):
        return {}
    statuses = status_by_stamp(run)
    result: dict[Modality, float | None] = {}
    for modality in run.phases[index + 1].subset:
        first = run.first_published.get((index + 1, modality))
        if first is None:
            continue
        arrivals = (
            mask.arrival
            for mask in masks_of(run, index + 1)
            if mask.stamp in statuses and modality in statuses[mask.stamp].weights
        )
        used = min(arrivals, default=None)
        result[modality] = None if used is None else (used - first) / 1e9
    return result


def loss_reported_after(run: Run) -> float | None:
    """Seconds from the loss of all sensors to the first status without a sensor, if any."""
    index = next((i for i, phase in enumerate(run.phases) if not phase.subset), None)
    if index is None:
        return None
    start = run.starts[index]
    end = start + int(run.phases[index].seconds * 1e9)
    blind = (
        status.arrival
        for status in run.recording.statuses
        if start <= status.arrival < end and not status.weights
    )
    reported = min(blind, default=None)
    return None if reported is None else (reported - start) / 1e9


def _with_wrong_status(run: Run, index: int) -> int:
    """Number of masks of a phase whose status is missing or names a sensor that was not played."""
    statuses = status_by_stamp(run)
    return sum(
        not _status_is_right(run, index, m, statuses.get(m.stamp)) for m in masks_of(run, index)
    )


def _status_is_right(
    run: Run, index: int, mask: RecordedImage, status: RecordedStatus | None
) -> bool:
    if status is None or abs(sum(status.weights.values()) - 1) > 1e-3:
        return False
    return set(status.weights) <= set(run.phases[index].subset) | _held(run, index, mask)


def _held(run: Run, index: int, mask: RecordedImage, age: float = 0.5) -> set[Modality]:
    """Sensors of the phase before, while their last measurement may still be held."""
    young = (mask.stamp - run.starts[index]) / 1e9 < age
    return set(run.phases[index - 1].subset) if index and young else set()


def _score_phase(run: Run, index: int, taxonomy: Taxonomy) -> dict:
    phase, masks = run.phases[index], masks_of(run, index)
    latencies = [(mask.arrival - mask.stamp) / 1e6 for mask in masks]
    statuses = status_by_stamp(run)
    matching = [statuses[mask.stamp] for mask in masks if mask.stamp in statuses]
    miou = mean_iou(run, index, taxonomy)
    return {
        "name": phase.name,
        "subset": [modality.label for modality in phase.subset],
        "seconds": phase.seconds,
        "frames_expected": round(phase.seconds * REFERENCE_RATE_HZ) if phase.subset else 0,
        "frames_published": len(masks),
        "rate_hz": len(masks) / phase.seconds,
        "latency_ms": _percentiles(latencies),
        "miou": miou,
        "mean_confidence": fmean(s.mean_confidence for s in matching) if matching else None,
        "weights": {
            m.label: fmean(s.weights.get(m, 0.0) for s in matching) for m in Modality if matching
        },
        "used": subset_name({m for status in matching for m in status.weights}),
    }


def mean_iou(run: Run, index: int, taxonomy: Taxonomy) -> float | None:
    """mIoU (percent) of a phase's masks against the ground truth; None without masks."""
    confusion = Confusion(len(taxonomy))
    scored = 0
    for mask in masks_of(run, index):
        label = truth_of(run, index, mask.stamp)
        if label is not None:
            confusion.add(label, mask.pixels)
            scored += 1
    return float(confusion.miou()) if scored else None


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p90": None, "p99": None}
    return {f"p{p}": float(np.percentile(values, p)) for p in (50, 90, 99)}
