"""Parts of the HTML reports: well formed, self-contained, and faithful to their numbers."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import cv2
import numpy as np

from any2seg_ros.html import elements as report
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality


class Reader(HTMLParser):
    """Checks that tags close in order and gathers what the page would load."""

    VOID = {"meta", "img", "br", "i"}

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


def sample_page() -> str:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
    bins = [{"pixels": 0, "confidence": float("nan"), "accuracy": float("nan")}] * 14
    bins = [*bins, {"pixels": 10, "confidence": 0.9, "accuracy": 0.7}]
    body = [
        report.facts({"mIoU": "51.2"}),
        report.note("3 frames were left out"),
        report.picture(image, "a <camera>"),
        report.legend(DELIVER),
        report.subset_key(),
        report.table(
            ["sensors", "mIoU"],
            [[report.Raw(report.subset_dots([Modality.RGB])), report.heat(41.27, 0, 100)]],
        ),
        report.line_chart(
            {"rate": ([0, 1, 2], [10, float("nan"), 9]), "weight": ([0, 2], [1, 2])},
            "time in s",
            "Hz",
            marks=[report.Mark(1, 2, "no camera")],
        ),
        report.bar_chart({"Road": 91.0, "Wall": float("nan")}, {"Road": "#804080"}),
        report.grid({"rgb": report.reliability_diagram(bins)}),
    ]
    return report.page("A & B", [report.Section("Parts", "".join(body), "all of them")])


def test_a_page_is_well_formed_escapes_text_and_loads_nothing_from_elsewhere():
    reader = Reader(sample_page())
    assert "a <camera>" in reader.words
    assert "41.3" in reader.words and "–" in reader.words
    assert all(link.startswith(("data:", "#")) for link in reader.loads)


def test_a_lossless_picture_holds_the_very_pixels_in_red_green_blue():
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 200
    uri = report.data_uri(image, lossless=True)
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], image)


def test_a_curve_runs_through_its_points_and_breaks_where_there_is_no_value():
    chart = report.line_chart(
        {"a": ([0.0, 1.0, 2.0, 3.0], [0.0, 10.0, float("nan"), 5.0])}, "s", "Hz", y_range=(0, 10)
    )
    svg = ElementTree.fromstring(chart[: chart.index("</svg>") + 6])
    path = next(node for node in svg.iter() if node.tag.endswith("path")).get("d")
    assert path.count("M") == 2 and path.count("L") == 1
    left, right = path.split("L")[0][1:].split(), path.split("L")[1].split("M")[0].split()
    assert float(left[0]) == 46 and float(left[1]) > float(right[1]) == 22


def test_charts_of_nothing_are_still_charts():
    for chart in (report.line_chart({}, "s", "Hz"), report.line_chart({"a": ([], [])}, "s", "Hz")):
        ElementTree.fromstring(chart[: chart.index("</svg>") + 6])


def test_ticks_are_round_numbers_inside_the_range():
    assert report.ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert report.ticks(0.12, 0.47, 4) == [0.2, 0.3, 0.4]
