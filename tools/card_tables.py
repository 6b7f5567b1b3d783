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
    """mIoU and ECE of every subset, two columns per report."""
    names = [NAMES.get(name, name) for name in reports]
    titles = "".join(f" {name} mIoU | {name} ECE |" for name in names)
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


def conditions(report: dict) -> list[str]:
    """All sensors and the camera alone, per condition and failure case."""
    lines = ["| condition or failure | frames | all four | RGB alone |", "|---|---|---|---|"]
    for name, row in sorted(report["conditions"].items()):
        whole = list(row["subsets"].values())[-1]
        lines.append(f"| {name} | {row['frames']} | {whole:.2f} | {row['subsets']['rgb']:.2f} |")
    return lines


def robustness(report: dict) -> str:
    """EMM, RMM and NM in one sentence."""
    emm = ", ".join(f"E({p}) {value:.2f}" for p, value in report["emm"].items() if p != "mean")
    rmm = ", ".join(f"{value:.2f} at {fraction}" for fraction, value in report["rmm"].items())
    nm = ", ".join(f"{level} {value:.2f}" for level, value in report["nm"].items())
    return f"EMM {emm}; RMM {rmm} of a missing sensor's elements zeroed; NM {nm}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
