"""report.html of a replay: curves over time with the failures marked, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from any2seg_ros.evaluation.tally import Extremes, Shown
from any2seg_ros.html import elements as html
from any2seg_ros.replay.timeline import series, weight_series
from any2seg_ros.taxonomy import get
from any2seg_ros.types import parse_subset


def replay_page(report: Mapping[str, Any], extremes: Extremes) -> str:
    """The page of a replay's report.json."""
    taxonomy = get(report["taxonomy"])
    sections = [
        html.Section("At a glance", _facts(report) + _notes(report)),
        html.Section(
            "Over time", _curves(report), "Shaded: the failures that were laid over the bag."
        ),
        html.Section("Stretch by stretch", _stretches(report)),
        html.Section(
            "Sensors that were used", _subsets(report) + html.subset_key(), "Masks by subset."
        ),
    ]
    if report["scored"]:
        colors = {n: f"rgb{c}" for n, c in zip(taxonomy.classes, taxonomy.colors, strict=True)}
        values = {n: math.nan if v is None else v for n, v in report["classes"].items()}
        sections.append(html.Section("Classes", html.bar_chart(values, colors), "IoU in percent."))
    for title, frames in (
        ("Best frames" if report["scored"] else "What it saw", extremes.best),
        ("Worst frames", extremes.worst),
    ):
        if frames:
            sections.append(html.Section(title, _frames(frames) + html.legend(taxonomy)))
    return html.page("Replay", sections, f"{report['model']} on {report['data']}", report["engine"])


def _facts(report: Mapping[str, Any]) -> str:
    return html.facts(
        {
            "masks": str(report["masks"]),
            "frames": str(report["frames"]),
            "mIoU of all masks": f"{html.number(report['miou'])} %",
            "frames with every sensor": str(report["complete"]),
            "blind frames": str(report["blind"]),
        }
    )


def _notes(report: Mapping[str, Any]) -> str:
    notes = list(report["notes"])
    if report["partial"]:
        notes.insert(0, "Partial: the replay was interrupted.")
    notes += [f"{count} frames without {why}" for why, count in report["unavailable"].items()]
    return "".join(html.note(one) for one in notes)


def _marks(report: Mapping[str, Any], last: float) -> list[html.Mark]:
    marks = []
    for stretch in report["stretches"]:
        end = min(stretch["end"], last)
        if stretch["failures"] and stretch["begin"] < end:
            marks.append(html.Mark(stretch["begin"], end, ", ".join(stretch["failures"])))
    return marks


def _curves(report: Mapping[str, Any]) -> str:
    rows = report["timeline"]
    marks = _marks(report, rows[-1]["end"] if rows else 0.0)
    x = "time in s"
    parts = {}
    if report["scored"]:
        parts["mIoU in percent"] = html.line_chart(
            {"mIoU": series(rows, "miou")}, x, "%", (0.0, 100.0), marks
        )
    parts["weight of each sensor in the fusion"] = html.line_chart(
        weight_series(rows), x, "share", (0.0, 1.0), marks
    )
    parts["mean confidence"] = html.line_chart(
        {"confidence": series(rows, "confidence")}, x, "0..1", (0.0, 1.0), marks
    )
    parts["masks a second"] = html.line_chart(
        {"rate": series(rows, "rate_hz")}, x, "Hz", (0.0, None), marks
    )
    return "".join(f"<h3>{html.text(name)}</h3>{chart}" for name, chart in parts.items())


def _stretches(report: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{s['begin']:g} s to " + ("the end" if math.isinf(s["end"]) else f"{s['end']:g} s"),
            ", ".join(s["failures"]) or "as recorded",
            s["frames"],
            s["blind"],
            html.heat(s["miou"], 0.0, 80.0),
        )
        for s in report["stretches"]
    ]
    return html.table(("time", "failures", "masks", "blind", "mIoU %"), rows)


def _subsets(report: Mapping[str, Any]) -> str:
    rows = [
        (html.Raw(html.subset_dots(parse_subset(name)) + f" {html.text(name)}"), count)
        for name, count in report["subsets"].items()
    ]
    return html.table(("sensors", "masks"), rows)


def _frames(frames: Sequence[Shown]) -> str:
    parts = []
    for shown in frames:
        figures = (
            html.picture(image, what, lossless=what in ("mask", "truth"))
            for what, image in shown.pictures.items()
        )
        score = "" if math.isnan(shown.miou) else f": {shown.miou:.1f} %"
        parts.append(f"<h3>{html.text(shown.name)}{score}</h3>{html.pictures(figures)}")
    return "".join(parts)
