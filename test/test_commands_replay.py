"""`any2seg replay`: its options, and what it prints."""

from __future__ import annotations

import math

import pytest

from any2seg_ros.cli import main
from any2seg_ros.commands.replay import show


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--drop", "radar@*", "unknown modality 'radar'"),
        ("--corrupt", "rgb:snow@*", "unknown corruption 'snow' of rgb"),
        ("--outputs", "masks", "unknown output 'masks'"),
        ("--topic", "rgb", "names no topic"),
        ("--params-file", "/nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_is_written(
    option, value, said, tmp_path, capsys
):
    out = tmp_path / "out"
    assert main(["replay", "--bag", "x", "--out", str(out), option, value]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_it_prints_intervals_sensors_notes_and_where_the_report_is(tmp_path, capsys):
    interval = {"begin": 2.0, "end": math.inf, "failures": ["no rgb"], "frames": 7, "blind": 1}
    show(
        {
            "data": "drive [1]",
            "masks": 7,
            "frames": 8,
            "stretches": [{**interval, "miou": 51.25}],
            "alone": {"lidar": {"confidence": 0.71, "agreement": 47.5}},
            "notes": ["a [note]"],
            "unavailable": {"rgb: nothing heard yet": 8},
            "timing": {"bag_s": 8.0, "wall_s": 4.0},
            "partial": True,
        },
        tmp_path,
    )
    said = capsys.readouterr().out
    for expected in ("2 s to the end", "no rgb", "51.2", "lidar alone: confidence 0.71"):
        assert expected in said
    for expected in ("drive [1]", "a [note]", "partial", "8 frames without rgb"):
        assert expected in said
    assert "report.html" in said.replace("\n", "")  # a long path wraps
