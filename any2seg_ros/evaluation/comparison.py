"""Compares two evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from any2seg_ros.evaluation.summary import head
from any2seg_ros.html.templating import render

ECE = "subsets, ECE in points"
"""The table in which lower is better."""


@dataclass(frozen=True)
class Row:
    """One figure of both reports, in percent unless the table says otherwise."""

    table: str
    name: str
    first: float | None
    second: float | None
    lower_is_better: bool = False

    @property
    def difference(self) -> float | None:
        """Second minus first; None if either is unknown."""
        if self.first is None or self.second is None:
            return None
        return self.second - self.first

    @property
    def gain(self) -> float:
        """How much better the second is: the difference, or its negative for errors."""
        difference = self.difference or 0.0
        return -difference if self.lower_is_better else difference


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Row]:
    """Every figure of either report.

    ValueError for reports of different protocols or class tables: they cannot be compared.
    """
    for key in ("protocol", "taxonomy"):
        if first[key] != second[key]:
            raise ValueError(
                f"the reports differ in their {key} ({first[key]}, {second[key]}): "
                "evaluate both with the same before comparing"
            )
    alone = [name for name in first["classes"] if name not in second["classes"]]
    alone += [name for name in second["classes"] if name not in first["classes"]]
    if alone:
        raise ValueError(
            f"the reports differ in their classes (only one has {alone[0]}): evaluate both with "
            "the same label map before comparing"
        )
    tables = zip(_figures(first).items(), _figures(second).values(), strict=True)
    rows = []
    for (table, mine), others in tables:
        names = dict.fromkeys([*mine, *others])
        lower = table == ECE
        rows += [Row(table, name, mine.get(name), others.get(name), lower) for name in names]
    return rows


def remarks(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Other differences between the reports that a reader must know of."""
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
    """What figures depend on besides the model, in words."""
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
    """The differences as a page; ValueError as `compare` has it."""
    return render(
        "comparison.html.j2",
        title="Comparison",
        subtitle=f"A: {first['model']}, B: {second['model']}",
        footer="",
        heads=f"A: {head(first)}. B: {head(second)}.",
        first=first,
        second=second,
        remarks=remarks(first, second),
        tables=list(tables(compare(first, second))),
    )
