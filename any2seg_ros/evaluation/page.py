"""report.html of an evaluation: from report.json, and the frames worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from any2seg_ros.evaluation.tally import Extremes, Shown
from any2seg_ros.html import elements as html
from any2seg_ros.taxonomy import Taxonomy, get
from any2seg_ros.types import parse_subset

PROTOCOL_TEXT = {
    "drop": "Protocol drop: an absent sensor is left out of the network.",
    "zero": "Protocol zero: the network gets a zero image for an absent sensor.",
}


def evaluation_page(report: Mapping[str, Any], extremes: Extremes | None = None) -> str:
    """The page of a report.json, with pictures of the best and the worst frames if given."""
    taxonomy = get(report["taxonomy"])
    sections = [
        html.Section("At a glance", _facts(report) + _notes(report)),
        html.Section(
            "Every subset of the sensors",
            _subsets(report) + html.subset_key(),
            f"mIoU in percent over the classes present in the labels. "
            f"{PROTOCOL_TEXT[report['protocol']]}",
        ),
        html.Section(
            "When sensors fail at random",
            _robustness(report),
            "EMM: each sensor missing with probability p. RMM: it stays, with a part of its values "
            "zeroed. NM: noise on all sensors. docs/evaluation.md has the definitions.",
        ),
    ]
    if report["conditions"]:
        lead = "mIoU in percent by condition and failure case; darker is better."
        sections.append(html.Section("Conditions", _conditions(report), lead))
    sections += [
        html.Section("Classes", _classes(report, taxonomy), "IoU in percent; a dash: no label."),
        html.Section(
            "Does confidence mean what it says?",
            _confidence(report),
            "Reliability: how often a pixel is right (bar) at the confidence it claims (across); "
            "the darker a bar, the more pixels. On the dotted line, confidence is honest.",
        ),
    ]
    if extremes and extremes.best:
        legend = html.legend(taxonomy)
        sections.append(
            html.Section("Best frames", _frames(extremes.best), "All sensors, by mIoU of the frame")
        )
        sections.append(html.Section("Worst frames", _frames(extremes.worst) + legend))
    subtitle = f"{report['model']} on {_data(report)}"
    return html.page("Evaluation", sections, subtitle, f"{report['engine']}")


def _data(report: Mapping[str, Any]) -> str:
    return report["data"] + (f", split {report['split']}" if report["split"] else "")


def _facts(report: Mapping[str, Any]) -> str:
    full = list(report["subsets"])[-1]
    ratio = report["cost"].get("all_subsets_vs_full")
    return html.facts(
        {
            "mIoU, all sensors": f"{html.number(report['subsets'][full]['miou'])} %",
            f"mean of {len(report['subsets'])} subsets": f"{html.number(report['mean'])} %",
            f"worst: {report['worst']['subset']}": f"{html.number(report['worst']['miou'])} %",
            "EMM, one sensor in ten missing": f"{html.number(report['emm']['0.1'])} %",
            "calibration error, all sensors": html.number(report["subsets"][full]["ece"], 3),
            "frames": str(report["frames"]),
            "all subsets cost, in full sets": html.number(ratio, 2),
        }
    )


def _notes(report: Mapping[str, Any]) -> str:
    notes = list(report["notes"])
    if report["partial"]:
        notes.insert(0, "Partial: the evaluation was interrupted, not all frames are in here.")
    notes += [f"{count} frames left out: {why}" for why, count in report["left_out"].items()]
    return "".join(html.note(one) for one in notes)


def _dots(name: str) -> html.Raw:
    return html.Raw(f"{html.subset_dots(parse_subset(name))} {html.text(name)}")


def _subsets(report: Mapping[str, Any]) -> str:
    rows = report["subsets"]
    low, high = _range(row["miou"] for row in rows.values())
    header = ("sensors", "mIoU %", "ECE", "risk area", "pixel acc. %", "latency ms")
    return html.table(
        header,
        [
            (
                _dots(name),
                html.heat(row["miou"], low, high),
                html.Raw(html.number(row["ece"], 3)),
                html.Raw(html.number(row["aurc"], 3)),
                row["accuracy"],
                row["latency_ms"],
            )
            for name, row in rows.items()
        ],
    )


def _range(values: Iterable[float | None]) -> tuple[float, float]:
    numbers = [value for value in values if value is not None]
    return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)


def _robustness(report: Mapping[str, Any]) -> str:
    emm = report["emm"]
    tables = {
        "EMM": html.table(("p missing", "mIoU %"), [(key, value) for key, value in emm.items()])
    }
    if report["rmm_by_probability"]:
        rows = [
            (f"{fraction} zeroed", *values.values())
            for fraction, values in report["rmm_by_probability"].items()
        ]
        tables["RMM"] = html.table(("part", *(f"p {key}" for key in emm)), rows)
    if report["nm"]:
        rows = [(level, value) for level, value in report["nm"].items()]
        tables["NM"] = html.table(("noise", "mIoU %"), rows)
    return html.grid(tables)


def _conditions(report: Mapping[str, Any]) -> str:
    conditions = report["conditions"]
    low, high = _range(v for one in conditions.values() for v in one["subsets"].values())
    header = ("sensors", *(f"{name} ({one['frames']})" for name, one in conditions.items()))
    rows: list[Sequence[object]] = [
        (_dots(name), *(html.heat(one["subsets"][name], low, high) for one in conditions.values()))
        for name in report["subsets"]
    ]
    rows.append(("mean", *(html.heat(one["mean"], low, high) for one in conditions.values())))
    return html.table(header, rows)


def _classes(report: Mapping[str, Any], taxonomy: Taxonomy) -> str:
    classes = report["classes"]
    by_class = dict(zip(taxonomy.classes, taxonomy.colors, strict=True))
    colors = {name: f"rgb{by_class[name.split('+')[0]]}" for name in classes}
    names = list(report["subsets"])
    shown = [name for name in names if "+" not in name] + names[-1:]
    total = sum(one["pixels"] for one in classes.values()) or 1
    rows = [
        (
            name,
            html.Raw(f"{100 * one['pixels'] / total:.2f}"),
            *(html.heat(one["subsets"][subset], 0.0, 100.0) for subset in dict.fromkeys(shown)),
        )
        for name, one in classes.items()
    ]
    header = ("class", "% of pixels", *dict.fromkeys(shown))
    values = {name: _nan(one["iou"]) for name, one in classes.items()}
    bars = html.bar_chart(values, colors)
    table = html.table(header, rows)
    return f"<h3>all sensors</h3>{bars}<h3>sensor by sensor</h3>{table}"


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _confidence(report: Mapping[str, Any]) -> str:
    diagrams = {
        f"{name}: ECE {html.number(row['ece'], 3)}": html.reliability_diagram(row["reliability"])
        for name, row in report["subsets"].items()
    }
    names = list(report["subsets"])
    curves = {
        name: (
            report["subsets"][name]["risk_coverage"]["coverage"],
            report["subsets"][name]["risk_coverage"]["risk"],
        )
        for name in dict.fromkeys([*(n for n in names if "+" not in n), names[-1]])
    }
    chart = html.line_chart(curves, "share of the pixels kept, surest first", "error among them")
    return html.grid(diagrams, tight=True) + "<h3>Risk and coverage</h3>" + chart


def _frames(frames: Sequence[Shown]) -> str:
    parts = []
    for shown in frames:
        figures = (
            html.picture(image, what, lossless=what in ("truth", "prediction"))
            for what, image in shown.pictures.items()
        )
        title = f"{html.text(shown.name)}: {shown.miou:.1f} %"
        parts.append(f"<h3>{title}</h3>{html.pictures(figures)}")
    return "".join(parts)
