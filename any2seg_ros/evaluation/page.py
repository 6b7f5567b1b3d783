"""report.html of an evaluation: from report.json, and the frames worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from any2seg_ros.evaluation.summary import head
from any2seg_ros.html.charts import Axes, bar_chart, line_chart, reliability_diagram
from any2seg_ros.html.gallery import BestAndWorst
from any2seg_ros.html.templating import number, render
from any2seg_ros.taxonomy import get
from any2seg_ros.types import parse_subset

PROTOCOL_TEXT = {
    "drop": "Protocol drop: an absent sensor is left out of the network.",
    "zero": "Protocol zero: the network gets a zero image for an absent sensor.",
}


def evaluation_page(report: Mapping[str, Any], gallery: BestAndWorst | None = None) -> str:
    """The page of a report.json, with pictures of the best and the worst frames if given."""
    taxonomy = get(report["taxonomy"])
    subsets, conditions = report["subsets"], report["conditions"]
    alone_and_all = _alone_and_all(report)
    by_condition = (v for one in conditions.values() for v in one["subsets"].values())
    return render(
        "evaluation.html.j2",
        title="Evaluation",
        subtitle=f"{report['model']} on {head(report)}",
        footer=report["engine"],
        report=report,
        head=head(report),
        figures=_figures(report),
        notes=_notes(report),
        protocol=PROTOCOL_TEXT[report["protocol"]],
        parsed={name: parse_subset(name) for name in subsets},
        range=_range(row["miou"] for row in subsets.values()),
        condition_range=_range(by_condition),
        alone_and_all=alone_and_all,
        class_bars=bar_chart(
            {name: one["iou"] for name, one in report["classes"].items()},
            # A group of classes is named by all of them and has the colour of the first.
            {n: taxonomy.css_colors[n.split("+")[0]] for n in report["classes"]},
        ),
        labelled_pixels=sum(one["pixels"] for one in report["classes"].values()) or 1,
        reliability={
            name: reliability_diagram(row["reliability"]) for name, row in subsets.items()
        },
        risk_coverage=line_chart(
            {name: _risk_coverage(subsets[name]) for name in alone_and_all},
            Axes("share of the pixels kept, surest first", "error among them"),
        ),
        best=gallery.best if gallery else [],
        worst=gallery.worst if gallery else [],
        taxonomy=taxonomy,
    )


def _figures(report: Mapping[str, Any]) -> dict[str, str]:
    full = report["subsets"][list(report["subsets"])[-1]]
    ratio = report["cost"].get("all_subsets_vs_full")
    return {
        "mIoU, all sensors": f"{number(full['miou'])} %",
        f"mean of {len(report['subsets'])} subsets": f"{number(report['mean'])} %",
        f"worst: {report['worst']['subset']}": f"{number(report['worst']['miou'])} %",
        "EMM, one sensor in ten missing": f"{number(report['emm']['0.1'])} %",
        "calibration error, all sensors": number(full["ece"], 3),
        "frames": str(report["frames"]),
        "all subsets cost, in full sets": number(ratio, 2),
    }


def _notes(report: Mapping[str, Any]) -> list[str]:
    interrupted = "Partial: the evaluation was interrupted, not all frames are in here."
    return [
        *([interrupted] if report["partial"] else []),
        *report["notes"],
        *(f"{count} frames left out: {why}" for why, count in report["left_out"].items()),
    ]


def _alone_and_all(report: Mapping[str, Any]) -> list[str]:
    """Names of the subsets of one sensor, and of all of them."""
    names = list(report["subsets"])
    return list(dict.fromkeys([*(name for name in names if "+" not in name), names[-1]]))


def _risk_coverage(subset: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    return subset["risk_coverage"]["coverage"], subset["risk_coverage"]["risk"]


def _range(values: Iterable[float | None]) -> tuple[float, float]:
    numbers = [value for value in values if value is not None]
    return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
