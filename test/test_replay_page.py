"""The page of a replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_drive
import tiny_network
from html_reader import HOSTILE, Reader, check_escaped

from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.replay.fault_schedule import parse_drops
from any2seg_ros.replay.gallery import ReplayGallery
from any2seg_ros.replay.page import replay_page
from any2seg_ros.replay.run import Replay
from any2seg_ros.taxonomy import DELIVER, Taxonomy


@pytest.fixture(scope="module")
def replayed(tmp_path_factory) -> tuple[dict, ReplayGallery, Path]:
    """A drive without labels whose camera fails."""
    folder = tmp_path_factory.mktemp("replay")
    bag = tiny_drive.write(
        folder / "bag", tiny_drive.rows(12), lambda topic: "ground_truth" not in topic
    )
    config = ReplayConfig(faults=parse_drops("rgb@0.5-0.8"), outputs=("mask",))
    work = Replay(bag, tiny_network.segmenter(folder), config)
    return work.run(folder / "out", "tiny"), work.gallery, folder / "out"


def test_a_replay_without_labels_shows_confidence_a_film_strip_and_no_miou(replayed):
    report, _, out = replayed
    reader = Reader((out / "report.html").read_text())
    assert json.loads((out / "report.json").read_text())["miou"] is None
    for expected in (
        "mean confidence, no ground truth",
        "Film strip",
        "One frame every 1 s",
        "lidar alone",
        "Each sensor alone",
        "there is no ground truth",
        "Worst frames",
        "no rgb@0.5-0.8 affected",
    ):
        assert expected in reader.text, expected
    assert "mIoU in percent" not in reader.text and "Classes" not in reader.text
    assert f"{report['confidence']:.2f}" in reader.words


def test_faults_shade_their_time(replayed):
    page = (replayed[2] / "report.html").read_text()
    assert page.count('class="mark"') == 3 and page.count(">no rgb</text>") == 3


def test_a_report_without_frames_has_a_page_too(replayed):
    report, gallery, _ = replayed
    empty = ReplayGallery(gallery._segmenter, ground_truth=False)
    bare = {**report, "timeline": [], "subsets": {}, "alone": {}, "confidence": None, "masks": 0}
    words = Reader(replay_page(bare, empty)).text
    assert "Film strip" not in words and "Best frames" not in words


def test_names_on_the_page_are_text(replayed, monkeypatch):
    report, gallery, _ = replayed
    hostile = Taxonomy(HOSTILE, (HOSTILE, *DELIVER.classes[1:]), DELIVER.colors)
    monkeypatch.setattr("any2seg_ros.replay.page.get", lambda name: hostile)
    told = {**report, "model": HOSTILE, "data": HOSTILE, "engine": HOSTILE, "notes": [HOSTILE]}
    told |= {"scored": 1, "classes": {HOSTILE: 3.0}, "unavailable": {HOSTILE: 2}}
    told["stretches"] = [{**one, "failures": [HOSTILE]} for one in report["stretches"]]
    # Model, data, engine, two notes, four charts of three spans, three intervals, class, legends.
    check_escaped(replay_page(told, gallery), times=5 + 12 + 3 + 1 + 3)
