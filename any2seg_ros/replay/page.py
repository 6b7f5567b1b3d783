"""report.html of a replay: curves over time with the faults marked, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from any2seg_ros.html.charts import Axes, Range, Span, bar_chart, line_chart
from any2seg_ros.html.templating import number, render
from any2seg_ros.replay.gallery import ReplayGallery
from any2seg_ros.replay.timeline import series, weight_series
from any2seg_ros.taxonomy import get
from any2seg_ros.types import Modality, parse_subset


def replay_page(report: Mapping[str, Any], gallery: ReplayGallery) -> str:
    """The page of a replay's report.json."""
    taxonomy = get(report["taxonomy"])
    shown = [moment.alone for moment in gallery.strip.frames]
    return render(
        "replay.html.j2",
        title="Replay",
        subtitle=f"{report['model']} on {report['data']}",
        footer=report["engine"],
        report=report,
        figures=_figures(report),
        notes=_notes(report),
        curves=_curves(report),
        intervals=[{**one, "time": _time(one)} for one in report["stretches"]],
        parsed={name: parse_subset(name) for name in (*report["subsets"], *report["alone"])},
        class_bars=bar_chart(report["classes"], taxonomy.css_colors),
        ground_truth=gallery.ground_truth,
        best=gallery.frames.best,
        worst=gallery.frames.worst,
        strip=gallery.strip,
        strip_sensors=[m for m in Modality if any(m in alone for alone in shown)],
        taxonomy=taxonomy,
    )


def _figures(report: Mapping[str, Any]) -> dict[str, str]:
    quality = {"mean confidence, no ground truth": number(report["confidence"], 2)}
    if report["scored"]:
        quality = {"mIoU of all masks": f"{number(report['miou'])} %"}
    return {
        "masks": str(report["masks"]),
        "frames": str(report["frames"]),
        **quality,
        "frames with every sensor": str(report["complete"]),
        "blind frames": str(report["blind"]),
    }


def _notes(report: Mapping[str, Any]) -> list[str]:
    return [
        *(["Partial: the replay was interrupted."] if report["partial"] else []),
        *report["notes"],
        *(f"{count} frames without {why}" for why, count in report["unavailable"].items()),
    ]


def _time(interval: Mapping[str, Any]) -> str:
    end = "the end" if math.isinf(interval["end"]) else f"{interval['end']:g} s"
    return f"{interval['begin']:g} s to {end}"


def _spans(report: Mapping[str, Any], last: float) -> list[Span]:
    spans = []
    for interval in report["stretches"]:
        end = min(interval["end"], last)
        if interval["failures"] and interval["begin"] < end:
            spans.append(Span(interval["begin"], end, ", ".join(interval["failures"])))
    return spans


def _curves(report: Mapping[str, Any]) -> dict[str, Markup]:
    rows = report["timeline"]
    spans = _spans(report, rows[-1]["end"] if rows else 0.0)

    def chart(name: str, key: str, unit: str, y_range: Range) -> Markup:
        return line_chart({name: series(rows, key)}, Axes("time in s", unit, y_range), spans)

    charts = {}
    if report["scored"]:
        charts["mIoU in percent"] = chart("mIoU", "miou", "%", (0.0, 100.0))
    charts["weight of each sensor in the fusion"] = line_chart(
        weight_series(rows), Axes("time in s", "share", (0.0, 1.0)), spans
    )
    charts["mean confidence"] = chart("confidence", "confidence", "0..1", (0.0, 1.0))
    charts["masks a second"] = chart("rate", "rate_hz", "Hz", (0.0, None))
    return charts
