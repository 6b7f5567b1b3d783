#!/usr/bin/env python3
"""Prints the tables of a model card from `any2seg evaluate` reports.

tools/card_tables.py evaluation/val evaluation/test evaluation/demo
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

NAMES = {"demo": "demo bag"}


def main(folders: list[str]) -> int:
    """Print the subsets of all reports, and conditions and robustness of the first."""
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    reports = {Path(f).name: json.loads((Path(f) / "report.json").read_text()) for f in folders}
    first = next(iter(reports.values()))
    print("\n".join(subsets(reports)), "\n".join(conditions(first)), robustness(first), sep="\n\n")
    return 0


def subsets(reports: dict[str, dict]) -> list[str]:
    """mIoU and calibration error of every subset, a pair of columns a report."""
    names = [
        head(report) if name == report["split"] else f"{NAMES.get(name, name)}, {head(report)}"
        for name, report in reports.items()
    ]
    titles = "".join(f" {name}: mIoU | ECE |" for name in names)
    lines = [f"| subset |{titles}", "|---|" + "---|---|" * len(names)]
    for subset in next(iter(reports.values()))["subsets"]:
        rows = [report["subsets"][subset] for report in reports.values()]
        cells = "".join(f" {row['miou']:.2f} | {row['ece']:.3f} |" for row in rows)
        lines.append(f"| {subset} |{cells}")
    means = "".join(f" **{report['mean']:.2f}** | |" for report in reports.values())
    worst = "".join(
        f" {report['worst']['miou']:.2f} ({report['worst']['subset']}) | |"
        for report in reports.values()
    )
    return [*lines, f"| **mean of the 15** |{means}", f"| worst |{worst}"]


def head(report: dict) -> str:
    """What a figure is worth nothing without: split, backbone, size of the images, protocol."""
    width, height = report["image_size"]
    split = f"{report['split']}, " if report["split"] else ""
    return f"{split}{report['backbone']} at {width}x{height}, {report['protocol']}"


def conditions(report: dict) -> list[str]:
    """All sensors and the camera alone, by condition and failure."""
    titles = (
        f"| condition or failure ({head(report)}) | frames | all four | RGB alone | ECE, all four |"
    )
    lines = [titles, "|---|---|---|---|---|"]
    errors = report["calibration"]["conditions"]
    for name, row in sorted(report["conditions"].items()):
        whole, alone = list(row["subsets"].values())[-1], row["subsets"]["rgb"]
        ece = errors[name]["full"]
        lines.append(f"| {name} | {row['frames']} | {whole:.2f} | {alone:.2f} | {ece:.3f} |")
    return lines


def robustness(report: dict) -> str:
    """EMM, RMM and noise, a row each."""
    columns = list(report["emm"])
    titles = [key if key == "average" else f"E({key})" for key in columns]
    lines = [f"| {head(report)} | {' | '.join(titles)} |", "|---|" + "---|" * len(titles)]
    rows = {"EMM": report["emm"]}
    rows |= {f"RMM, {r} zeroed": row for r, row in (report["rmm_by_probability"] or {}).items()}
    lines += [
        f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key in columns) + " |"
        for name, row in rows.items()
    ]
    for key, title in (("nm", "NM"), ("noise", "Clipped noise")):
        if report[key]:
            errors = report["calibration"][key]
            levels = ", ".join(
                f"{level} {value:.2f} (ECE {errors[level]:.3f})"
                for level, value in report[key].items()
            )
            lines += ["", f"{title} ({head(report)}): {levels}."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
