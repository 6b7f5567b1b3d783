"""The tables of an ablation, of the reports in its rows' folders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from any2seg_ros.training.config import load_config
from any2seg_ros.types import largest

SEED = ", seed "


def stages_before(folder: Path) -> list[Path]:
    """The folders of a row's earlier stages, in order."""
    return sorted(folder.glob("stage_*"))


def markdown(rows: Mapping[str, Path], judged: str) -> str:
    """The table of the rows that have a report in the folder `judged`, and of their spreads."""
    reports = _reports(rows, judged)
    lines = [
        f"| row ({_head(reports)}) | mean of subsets | all | worst | largest ECE | steps | min | "
        "seed | trained by |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
        *(_line(name, report, rows[name]) for name, report in reports.items()),
    ]
    return "\n".join([*lines, *spreads(reports)]) + "\n"


def spreads(reports: Mapping[str, dict[str, Any]]) -> list[str]:
    """A second table where rows were trained with several seeds: means and standard deviations."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, report in reports.items():
        if SEED in name:
            groups.setdefault(name.rpartition(SEED)[0], []).append(report)
    if not groups:
        return []
    lines = [
        "",
        f"| row ({_head(reports)}; mean ± standard deviation over the seeds) | seeds | mean of "
        "subsets | all | mean / all | worst |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, some in groups.items():
        worst = ", ".join(sorted({report["worst"]["subset"] for report in some}))
        cells = [
            _spread([report["mean"] for report in some]),
            _spread([_full(report)["miou"] for report in some]),
            f"{mean(report['mean'] / _full(report)['miou'] for report in some):.3f}",
            f"{_spread([report['worst']['miou'] for report in some])} ({worst})",
        ]
        lines.append(f"| {name} | {len(some)} | {' | '.join(cells)} |")
    return lines


def _reports(rows: Mapping[str, Path], judged: str) -> dict[str, dict[str, Any]]:
    paths = {name: folder / judged / "report.json" for name, folder in rows.items()}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def _head(reports: Mapping[str, dict[str, Any]]) -> str:
    """What all reports have in common, as a table's head says it."""
    for report in reports.values():
        width, height = report["image_size"]
        return (
            f"{report['split']}, {report['frames']} frames, {report['backbone']} at "
            f"{width}x{height}, {report['protocol']}"
        )
    return "none is evaluated yet"


def _spread(values: list[float]) -> str:
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def _full(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the subset with all sensors."""
    return report["subsets"][largest(report["subsets"])]


def _line(name: str, report: dict[str, Any], folder: Path) -> str:
    stages = (*stages_before(folder), folder)
    configs = [load_config(stage / "config.yaml") for stage in stages]
    minutes = sum(_seconds(Path(config.output)) for config in configs) / 60
    ece = max(score["ece"] for score in report["subsets"].values())
    return (
        f"| {name} | {report['mean']:.2f} | {_full(report)['miou']:.2f} | "
        f"{report['worst']['miou']:.2f} ({report['worst']['subset']}) | {ece:.3f} | "
        f"{' + '.join(str(config.steps) for config in configs)} | {minutes:.1f} | "
        f"{configs[-1].seed} | {_trained_by(stages)} |"
    )


def _trained_by(stages: Sequence[Path]) -> str:
    return "; ".join(f"any2seg train {stage}/config.yaml" for stage in stages)


def _seconds(run: Path) -> float:
    log = (run / "metrics.jsonl").read_text().splitlines()
    return sum(json.loads(line).get("seconds", 0.0) for line in log)
