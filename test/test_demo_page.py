"""The page of the demo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the demo plays over DDS: needs rclpy")

from html_reader import HOSTILE, Reader, check_escaped
from test_demo_scoring import PHASES, recorded_run

from any2seg_ros.demo.page import demo_page
from any2seg_ros.demo.scoring import Run, score
from any2seg_ros.taxonomy import DELIVER, Taxonomy

CAMERA = {0: np.zeros((4, 6, 3), np.uint8), 400_000_000: np.ones((4, 6, 3), np.uint8)}


def page_of(run: Run, taxonomy: Taxonomy = DELIVER) -> str:
    return demo_page(score(run, taxonomy), run, CAMERA, taxonomy)


def test_it_has_every_phase_with_its_figures_and_pictures():
    page = page_of(recorded_run())
    text = Reader(page).text
    for expected in ("all four", "10 of 10", "nothing", "No mask, as expected.", "5 of 10"):
        assert expected in text
    assert page.count("<figcaption>camera</figcaption>") == 2
    assert page.count('class="mark"') == 3


def test_names_on_the_page_are_text():
    phases = tuple(replace(phase, name=HOSTILE) for phase in PHASES)
    run = replace(recorded_run(), phases=phases)
    hostile = Taxonomy(HOSTILE, (HOSTILE, *DELIVER.classes[1:]), DELIVER.colors)
    # Three phases in the table and with their pictures, a span in three charts, the legend.
    check_escaped(page_of(run, hostile), times=3 + 3 + 3 + 1)
