"""report.json of a replay."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import tiny_drive
import tiny_network

from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.replay.fault_schedule import parse_corruptions, parse_drops
from any2seg_ros.replay.run import Replay


@pytest.fixture(scope="module")
def replayed(tmp_path_factory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("replay")
    bag = tiny_drive.write(folder / "bag", tiny_drive.rows(10))
    faults = parse_drops("rgb@0.3-0.6") + parse_corruptions("lidar:sparse@0.5-")
    config = ReplayConfig(faults=faults, outputs=("mask",))
    report = Replay(bag, tiny_network.segmenter(folder), config).run(folder / "out", "tiny")
    return report, folder / "out"


def test_it_says_what_was_replayed_with_what(replayed):
    report, _ = replayed
    assert (report["kind"], report["model"], report["partial"]) == ("replay", "tiny", False)
    assert report["failures"] == [
        {"modality": "rgb", "kind": "drop", "begin": 0.3, "end": 0.6},
        {"modality": "lidar", "kind": "sparse", "begin": 0.5, "end": math.inf},
    ]
    assert [s["failures"] for s in report["stretches"]] == [
        [],
        ["no rgb"],
        ["no rgb", "lidar:sparse"],
        ["lidar:sparse"],
    ]


def test_counts_agree_with_each_other(replayed):
    report, _ = replayed
    assert report["masks"] + report["blind"] == report["frames"]
    assert sum(report["subsets"].values()) == report["masks"] == report["messages"]["mask"]
    assert sum(s["frames"] for s in report["stretches"]) == report["masks"]
    assert sum(row["frames"] for row in report["timeline"]) == report["masks"]
    assert 0 < report["scored"] <= report["masks"] and 0 < report["confidence"] < 1


def test_the_file_is_strict_json_with_null_for_what_is_not_known(replayed):
    report, out = replayed
    written = json.loads((out / "report.json").read_text(), parse_constant=pytest.fail)
    assert set(written) == set(report) - {"timing"}
    assert written["stretches"][-1]["end"] is None
