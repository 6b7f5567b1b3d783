"""From counts to report.json: all figures of an evaluation, and its schema."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.evaluation.expectations import NOISE_LEVELS, expectations
from any2seg_ros.evaluation.tally import Score, Tally
from any2seg_ros.metrics import mean_and_worst
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import IGNORE, Subset, subset_name

NUMBER = (int, float)

SCHEMA: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "model": (str,),
    "model_sha256": (str,),
    "engine": (str,),
    "backbone": (str,),
    "image_size": (list,),
    "data": (str,),
    "split": (str, type(None)),
    "protocol": (str,),
    "taxonomy": (str,),
    "modalities": (list,),
    "seed": (int,),
    "partial": (bool,),
    "notes": (list,),
    "frames": (int,),
    "left_out": (dict,),
    "subsets": (dict,),
    "mean": NUMBER,
    "worst": (dict,),
    "deliver_convention": (dict,),
    "emm": (dict,),
    "rmm": (dict, type(None)),
    "rmm_by_probability": (dict, type(None)),
    "nm": (dict, type(None)),
    "noise": (dict, type(None)),
    "conditions": (dict,),
    "calibration": (dict,),
    "classes": (dict,),
    "cost": (dict,),
}
"""The keys of report.json and the types of their values; docs/evaluation.md says what they mean."""

SUBSET_KEYS = ("miou", "ece", "latency_ms", "accuracy", "aurc", "reliability", "risk_coverage")


@dataclass(frozen=True)
class Context:
    """What was evaluated, for the head of the report."""

    model: str
    data: str
    split: str | None
    protocol: str
    taxonomy: Taxonomy
    engine: str = ""
    backbone: str = ""
    image_size: tuple[int, int] = (0, 0)
    model_sha256: str = ""
    seed: int = 0
    partial: bool = False
    notes: Sequence[str] = ()
    latencies_ms: Mapping[Subset, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)


def summarize(tally: Tally, context: Context) -> dict[str, Any]:
    """The content of report.json; mIoU in percent, unknown values are None.

    ValueError if no frame or no labelled pixel was counted.
    """
    _check_counts(tally, context)
    miou = {s: score.confusion.miou() for s, score in tally.subsets.items()}
    mean, worst = mean_and_worst({subset_name(s): value for s, value in miou.items()})
    published = {subset_name(s): t.confusion.miou(True) for s, t in tally.subsets.items()}
    rmm = _rmm(tally, miou)
    return {
        "kind": "evaluation",
        "model": context.model,
        "model_sha256": context.model_sha256,
        "engine": context.engine,
        "backbone": context.backbone,
        "image_size": list(context.image_size),
        "data": context.data,
        "split": context.split,
        "protocol": context.protocol,
        "taxonomy": context.taxonomy.name,
        "modalities": [m.label for m in tally.modalities],
        "seed": context.seed,
        "partial": context.partial,
        "notes": [
            *context.notes,
            *(f"{why}, for example: {one}" for why, one in sorted(tally.examples.items())),
        ],
        "frames": tally.frames,
        "left_out": dict(sorted(tally.left_out.items())),
        "subsets": {
            subset_name(s): _subset(score, context.latencies_ms.get(s))
            for s, score in tally.subsets.items()
        },
        "mean": mean,
        "worst": worst,
        "deliver_convention": {
            "subsets": published,
            "mean": float(np.mean(list(published.values()))),
        },
        "emm": expectations(miou),
        "rmm": {f: values["average"] for f, values in rmm.items()} if rmm else None,
        "rmm_by_probability": rmm or None,
        "nm": _by_level(tally.nm),
        "noise": _by_level(tally.noise),
        "conditions": _conditions(tally),
        "calibration": _calibration(tally),
        "classes": _classes(tally, context.taxonomy),
        "cost": dict(context.cost),
    }


def _check_counts(tally: Tally, context: Context) -> None:
    reasons = "; ".join(
        f"{count} x {reason}" + (f" ({tally.examples[reason]})" if reason in tally.examples else "")
        for reason, count in tally.left_out.items()
    )
    if not tally.frames:
        raise ValueError(f"no frame could be evaluated: {reasons or 'the data is empty'}")
    if not tally.subsets[tally.full].confusion.pixels:
        raise ValueError(
            f"no labelled pixel in {tally.frames} frames of {context.data}: every pixel is "
            f"{IGNORE}; check that its labels hold the class ids of {context.taxonomy.name}"
        )


def _subset(score: Score, latency_ms: float | None) -> dict[str, Any]:
    coverage, risk = score.calibration.risk_coverage(points=21)
    return {
        "miou": score.confusion.miou(),
        "ece": score.calibration.ece(),
        "latency_ms": latency_ms,
        "accuracy": score.confusion.accuracy(),
        "aurc": score.calibration.area_under_risk(),
        "reliability": [
            {key: number_or_none(value) for key, value in one.items()}
            for one in score.calibration.reliability()
        ],
        "risk_coverage": {"coverage": coverage.tolist(), "risk": risk.tolist()},
    }


def head(report: Mapping[str, Any]) -> str:
    """What a reader of any table of the report must know: data, split, backbone, protocol."""
    width, height = report["image_size"]
    parts = [report["data"], f"split {report['split']}" if report["split"] else ""]
    parts += [f"{report['backbone']} at {width}x{height}", f"protocol {report['protocol']}"]
    return ", ".join(part for part in parts if part)


def _by_level(tables: Mapping[str, Score]) -> dict[str, float] | None:
    return {level: tables[level].miou() for level in NOISE_LEVELS} if tables else None


def _rmm(tally: Tally, miou: Mapping[Subset, float]) -> dict[str, dict[str, float]]:
    """Average and E(p) by zeroed fraction; nothing is zeroed of the full set and of one sensor."""
    full = tally.full
    return {
        f"{fraction:g}": expectations({**{s: c.miou() for s, c in table.items()}, full: miou[full]})
        for fraction, table in sorted(tally.rmm.items())
        if table
    }


def _conditions(tally: Tally) -> dict[str, Any]:
    result = {}
    for condition, table in sorted(tally.conditions.items()):
        miou = {subset_name(s): table[s].miou() for s in tally.subsets}
        mean, worst = mean_and_worst(miou)
        frames = tally.condition_frames[condition]
        result[condition] = {"frames": frames, "mean": mean, "worst": worst, "subsets": miou}
    return result


def _calibration(tally: Tally) -> dict[str, Any]:
    """Expected calibration errors where it is hard: under noise, and in every condition."""

    def levels(table: Mapping[str, Score]) -> dict[str, float] | None:
        return {level: table[level].ece() for level in NOISE_LEVELS} if table else None

    rmm = {f"{fraction:g}": _ece(table) for fraction, table in sorted(tally.rmm.items()) if table}
    return {
        "nm": levels(tally.nm),
        "noise": levels(tally.noise),
        "rmm": rmm or None,
        "conditions": {
            name: {"full": table[tally.full].ece(), **_ece(table)}
            for name, table in sorted(tally.conditions.items())
        },
    }


def _ece(table: Mapping[Subset, Score]) -> dict[str, Any]:
    """The mean over the subsets, and the worst of them; NaN of none."""
    if not table:
        return {"mean": math.nan, "worst": {"subset": "", "ece": math.nan}}
    errors = {subset_name(subset): score.ece() for subset, score in table.items()}
    worst = max(errors, key=lambda name: (errors[name], name))
    mean = float(np.mean(list(errors.values())))
    return {"mean": mean, "worst": {"subset": worst, "ece": errors[worst]}}


def _classes(tally: Tally, taxonomy: Taxonomy) -> dict[str, Any]:
    pixels = tally.subsets[tally.full].confusion.matrix.sum(axis=1)
    ious = {subset_name(s): score.confusion.iou() for s, score in tally.subsets.items()}
    full = subset_name(tally.full)
    return {
        name: {
            "pixels": int(pixels[index]),
            "iou": number_or_none(ious[full][index]),
            "subsets": {s: number_or_none(iou[index]) for s, iou in ious.items()},
        }
        for index, name in enumerate(taxonomy.classes)
    }


def number_or_none(value: float) -> float | int | None:
    """The number, or None for NaN, which JSON does not have."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value) if math.isfinite(value) else None


def dumps(report: Mapping[str, Any]) -> str:
    """A report as strict JSON (NaN is null); the same report gives the same bytes."""
    return json.dumps(_strict(report), indent=1, allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(part) for part in value]
    if isinstance(value, (float, np.floating)):
        return number_or_none(float(value))
    return value


def load(path: Path) -> dict[str, Any]:
    """Read a report.json, or that of a folder; OSError and ValueError say how to fix it."""
    path = path / "report.json" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(
            f"no report at {path}: give a report.json of `any2seg evaluate`, or its folder"
        )
    try:
        report = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    problems = check(report)
    if problems:
        raise ValueError(
            f"{path} is not a report of this version's `any2seg evaluate` ({problems[0]}): "
            "evaluate again"
        )
    return report


def check(report: Any) -> list[str]:
    """What is wrong with `report` as a report.json of an evaluation; empty if nothing."""
    if not isinstance(report, dict):
        return ["it is not an object"]
    problems = [f"'{key}' is missing" for key in SCHEMA if key not in report]
    problems += [
        f"'{key}' is {type(report[key]).__name__}, not {types[0].__name__}"
        for key, types in SCHEMA.items()
        if key in report and not isinstance(report[key], types)
    ]
    if problems:
        return problems
    for name, row in report["subsets"].items():
        problems += [f"subset {name} has no '{key}'" for key in SUBSET_KEYS if key not in row]
    return problems
