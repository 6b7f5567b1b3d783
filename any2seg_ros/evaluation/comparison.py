"""Two evaluations side by side, with the differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from any2seg_ros.evaluation.summary import head
from any2seg_ros.html import elements as html

ECE = "subsets, ECE in points"
"""The table whose figures are better the lower they are."""


@dataclass(frozen=True)
class Row:
    """One figure of both reports, in percent unless the name says otherwise."""

    table: str
    name: str
    first: float | None
    second: float | None
    lower_is_better: bool = False

    @property
    def difference(self) -> float | None:
        """Second minus first; None where either has no figure."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Row]:
    """Every figure that either report has.

    ValueError for reports of two protocols or class tables: their figures mean different things.
    """
    for key in ("protocol", "taxonomy"):
        if first[key] != second[key]:
            raise ValueError(
                f"the reports differ in their {key} ({first[key]}, {second[key]}): "
                "evaluate both in one before comparing them"
            )
    tables = zip(_figures(first).items(), _figures(second).values(), strict=True)
    rows = []
    for (table, mine), others in tables:
        names = dict.fromkeys([*mine, *others])
        lower = table == ECE
        rows += [Row(table, name, mine.get(name), others.get(name), lower) for name in names]
    return rows


def remarks(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What a reader must know before trusting the differences."""
    mine, others = _circumstances(first), _circumstances(second)
    said = [
        f"The reports differ in their {key}: {mine[key]} (first), {others[key]} (second)."
        for key in mine
        if mine[key] != others[key]
    ]
    return said + [
        f"The {word} report is partial."
        for word, report in (("first", first), ("second", second))
        if report["partial"]
    ]


def _circumstances(report: Mapping[str, Any]) -> dict[str, str]:
    """What figures depend on besides the model, as a reader is told it."""
    left_out = "; ".join(f"{count} x {why}" for why, count in report["left_out"].items())
    return {
        **{key: str(report[key]) for key in ("data", "split", "frames", "modalities", "seed")},
        "frames left out": left_out or "none",
        # Without the model's name: networks differ, or there is nothing to compare.
        "engine": report["engine"].partition(": ")[2],
    }


def _figures(report: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Figures by table, then by name."""
    subsets = report["subsets"]
    overall = {"mean of subsets": report["mean"], "worst subset": report["worst"]["miou"]}
    overall |= {f"EMM {key}": value for key, value in report["emm"].items()}
    overall |= {f"RMM {key}": value for key, value in (report["rmm"] or {}).items()}
    overall |= {f"NM {key}": value for key, value in (report["nm"] or {}).items()}
    overall |= {f"clipped noise {key}": v for key, v in (report["noise"] or {}).items()}
    full = list(subsets)[-1]
    conditions = {
        f"{name}, {key}": value
        for name, one in report["conditions"].items()
        for key, value in (("all sensors", one["subsets"][full]), ("mean", one["mean"]))
    }
    return {
        "overall": overall,
        "subsets, mIoU %": {name: row["miou"] for name, row in subsets.items()},
        ECE: {
            name: None if row["ece"] is None else 100 * row["ece"] for name, row in subsets.items()
        },
        "conditions": conditions,
        "classes, all sensors": {name: one["iou"] for name, one in report["classes"].items()},
    }


def tables(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows by table, in order."""
    for table in dict.fromkeys(row.table for row in rows):
        yield table, [row for row in rows if row.table == table]


def comparison_page(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The differences as a page."""
    rows = compare(first, second)
    notes = "".join(html.note(remark) for remark in remarks(first, second))
    sections = [html.Section("The two", _heads(first, second) + notes)]
    for title, part in tables(rows):
        cells = [(row.name, row.first, row.second, _difference(row)) for row in part]
        table = html.table(("", "A", "B", "B − A"), cells)
        sections.append(html.Section(title, table, f"A: {head(first)}. B: {head(second)}."))
    return html.page("Comparison", sections, f"A: {first['model']}, B: {second['model']}")


def _difference(row: Row) -> html.Raw:
    if row.difference is None:
        return html.Raw("–")
    return html.difference(row.difference, 2, row.lower_is_better)


def _heads(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    keys = ("model", "backbone", "engine", "data", "split", "protocol", "frames")
    return html.table(("", "A", "B"), [(key, str(first[key]), str(second[key])) for key in keys])
