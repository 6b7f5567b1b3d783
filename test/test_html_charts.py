"""Charts: faithful to their numbers, well formed, and escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from html_reader import HOSTILE, Reader, check_escaped

from any2seg_ros.html.charts import (
    Axes,
    Span,
    bar_chart,
    line_chart,
    reliability_diagram,
    ticks,
)

NAN = float("nan")


def svg(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart[: chart.index("</svg>") + 6])


def nodes(chart: str, tag: str) -> list[ElementTree.Element]:
    return [node for node in svg(chart).iter() if node.tag == tag]


def test_a_curve_runs_through_its_points_and_breaks_where_there_is_no_value():
    curves = {"a": ([0.0, 1.0, 2.0, 3.0], [0.0, 10.0, NAN, 5.0])}
    (path,) = nodes(line_chart(curves, Axes("s", "Hz", (0, 10))), "path")
    steps = path.get("d")
    assert steps.count("M") == 2 and steps.count("L") == 1
    left, right = steps.split("L")[0][1:].split(), steps.split("L")[1].split("M")[0].split()
    assert float(left[0]) == 46 and float(left[1]) > float(right[1]) == 22


def test_a_span_shades_its_part_of_the_x_axis():
    curves = {"a": ([0.0, 10.0], [1.0, 1.0])}
    (box,) = nodes(line_chart(curves, Axes("s", "Hz"), [Span(5.0, 7.5, "no rgb")]), "rect")
    assert float(box.get("width")) == pytest.approx((860 - 46 - 12) / 4, abs=0.1)
    assert float(box.get("x")) == pytest.approx(46 + (860 - 46 - 12) / 2, abs=0.1)


def test_charts_of_nothing_are_still_charts():
    for chart in (line_chart({}, Axes("s", "Hz")), line_chart({"a": ([], [])}, Axes("s", "Hz"))):
        svg(chart)
    svg(bar_chart({}, {}))
    svg(reliability_diagram([]))


def test_curves_have_a_legend_when_there_are_several():
    one, other = ([0, 1], [1, 2]), ([0, 1], [2, 1])
    assert "legend" not in line_chart({"rgb": one}, Axes("s", "Hz"))
    words = Reader(line_chart({"rgb": one, "lidar": other}, Axes("s", "Hz"))).words
    assert {"rgb", "lidar"} <= set(words)


def test_bars_are_as_long_as_their_values_and_a_missing_one_is_a_dash():
    chart = bar_chart({"Road": 100.0, "Wall": 50.0, "Bus": NAN, "Car": None}, {"Road": "red"})
    lengths = [float(bar.get("width")) for bar in nodes(chart, "rect")]
    assert lengths == [470.0, 235.0, 0.0, 0.0]
    assert nodes(chart, "rect")[0].get("fill") == "red"
    assert Reader(chart).words.count("–") == 2


def test_a_reliability_diagram_has_a_bar_for_every_bin_with_pixels():
    empty = {"pixels": 0, "confidence": NAN, "accuracy": NAN}
    full = {"pixels": 10, "confidence": 0.9, "accuracy": 0.5}
    bars = nodes(reliability_diagram([empty] * 14 + [full]), "rect")
    assert len(bars) == 1 and float(bars[0].get("height")) == pytest.approx((174 - 18) / 2, abs=0.1)


def test_ticks_are_round_numbers_inside_the_range():
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(0.12, 0.47, 4) == [0.2, 0.3, 0.4]


def test_names_in_charts_are_text():
    curves = {HOSTILE: ([0, 1], [1, 2]), "b": ([0], [1])}
    axes = Axes(HOSTILE, HOSTILE)
    check_escaped(line_chart(curves, axes, [Span(0, 1, HOSTILE)]), times=4)
    check_escaped(bar_chart({HOSTILE: 1.0}, {}, unit=HOSTILE), times=2)
