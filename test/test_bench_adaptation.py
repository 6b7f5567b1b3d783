"""The command that measures what adaptation is worth, on the smallest of drives."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from adaptation_data import Place

from any2seg_ros.bench import adaptation
from any2seg_ros.configuration import load

ROOT = Path(__file__).resolve().parents[1]


def everywhere(name: str) -> dict:
    """The key frame of a frame whose points are all on a vehicle."""
    rotation = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    size = (1000, 1000, 1000)
    box = {"category": "vehicle.car", "center": (0, 0, 0), "size_lwh": size, "rotation": rotation}
    return {"stamp_ns": int(name.rpartition("/")[2]), "boxes": [box]}


def plan_of(drive: Place, out: Path, **more) -> dict:
    """A run of one round on one thread."""
    return {"output": str(out), "rounds": 1, "threads": 1, "streets": str(drive.streets), **more}


def test_a_row_has_truth_before_and_after_and_is_kept(drive: Place, tmp_path, capsys, monkeypatch):
    """A recorded drive, judged against labels that were given for it."""
    from any2seg_ros.adaptation.drive import open_drive
    from any2seg_ros.datasets import Target
    from any2seg_ros.preprocessing import PreprocessingConfig

    names = open_drive(
        drive.config("names"), Target((96, 64), PreprocessingConfig()), lambda *n: None
    ).cached.names
    for kind, value in (("labels", 6), ("sure", 255)):
        (tmp_path / kind).mkdir()
        for name in names:
            image = np.full((40, 64), value, np.uint8)
            cv2.imwrite(str(tmp_path / kind / f"{name.rpartition('/')[2]}.png"), image)
    (tmp_path / "boxes.json").write_text(json.dumps([everywhere(name) for name in names]))
    mine = {
        "name": "mine",
        "bag": str(drive.bag),
        "labels": [str(tmp_path / "labels")],
        "label_map": [str(tmp_path / "map.yaml")],
        "confidence": str(tmp_path / "sure"),
        "boxes": str(tmp_path / "boxes.json"),
        "model": str(drive.weights),
    }
    plan = plan_of(drive, tmp_path / "out", steps=2, drives=[mine])
    (tmp_path / "map.yaml").write_text(yaml.safe_dump({6: "Road"}))
    config = tmp_path / "plan.yaml"
    config.write_text(yaml.safe_dump(plan))
    assert adaptation.main([str(config)]) == 0
    row = json.loads((tmp_path / "out" / "mine_seed0.json").read_text())
    assert set(row["before"]["drive"]) == {
        "rgb",
        "depth",
        "lidar",
        "event",
        "rgb+depth+lidar+event",
    }
    assert row["steps"] == 2 and "round 1" in row["all judged"]
    assert row["with labels"]["drive"]["lidar"] >= row["before"]["drive"]["lidar"]
    boxes = [row[name]["vehicles"] for name in ("boxes before", "boxes", "boxes with labels")]
    assert boxes[0]["points"] == boxes[1]["points"] == boxes[2]["points"] > 0
    assert all(0 <= one["recall"] <= 100 for one in boxes) and not row["boxes"]["people"]["points"]
    first = capsys.readouterr().out
    assert "| mine, seed 0 |" in first
    monkeypatch.setattr(adaptation, "_real", None)  # finished rows are not made again
    assert adaptation.main([str(config)]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.timeout(1800)
def test_a_rig_is_drawn_driven_and_judged_against_its_truth(drive: Place, tmp_path, capsys):
    simulated: dict = {"rigs": [101], "bags": 1, "frames": 22, "rate": 8.0, "conditions": ["sun"]}
    simulated["model"] = str(drive.weights)
    plan = plan_of(drive, tmp_path / "out", steps=1, simulated=simulated)
    config = tmp_path / "plan.yaml"
    config.write_text(yaml.safe_dump(plan))
    assert adaptation.main([str(config)]) == 0
    row = json.loads((tmp_path / "out" / "rig101_seed0.json").read_text())
    judged = row["all judged"]
    assert row["before"] == judged["before"] and {"round 1", "50 % of the way"} <= set(judged)
    assert row["steps"] == 1 and row["chosen"] in judged
    for scores in (row["before"], row["with labels"]):
        assert set(scores["drive"]) >= {"rgb", "lidar"} and scores["streets"]
    assert row["with labels"]["drive"] != row["before"]["drive"]
    assert "| rig 101, seed 0 |" in capsys.readouterr().out


def test_the_committed_plan_can_be_read():
    config = load(adaptation.BenchConfig, ROOT / "config" / "adaptation.yaml")
    assert len(config.simulated.rigs) == len(config.seeds) == 3
    assert [drive.name for drive in config.drives] == ["nuscenes_0523", "kitti_drive"]


def test_gains_are_averaged_with_their_spread():
    def row(name: str, gain: float) -> dict:
        before = {
            "drive": {"rgb+lidar": 40.0, "rgb": 30.0, "lidar": 10.0},
            "streets": {"rgb": 50.0},
        }
        after = {**before, "drive": {"rgb+lidar": 41.0, "rgb": 30.0 + gain, "lidar": 10.0 + gain}}
        return {"name": name, "chosen": "round 1", "before": before, "after": after}

    rows = [row("rig 1, seed 0", 4.0), row("rig 2, seed 0", 6.0), row("real, seed 0", 1.0)]
    rows[0]["after"]["drive"]["rgb"] = 30.0
    rows[2]["boxes before"] = {"people": {"recall": 1.0, "precision": 2.0, "points": 9}}
    rows[2]["boxes"] = {"people": {"recall": 3.0, "precision": 4.0, "points": 9}}
    table = adaptation.markdown(rows)
    assert "lidar 10.0 → 14.0" in table
    assert "each sensor alone +4.0 ± 2.8; the weakest +5.0 ± 1.4; all sensors +1.0 ± 0.0" in table
    assert "9 points on people: recall 1.0 → 3.0 %, precision 2.0 → 4.0 %" in table
