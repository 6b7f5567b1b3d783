"""The tables of an ablation: what their head says, steps of all stages, spreads over seeds."""

from __future__ import annotations

import json

import yaml

from any2seg_ros.training.ablation_table import markdown, spreads

HEAD = {
    "split": "val",
    "frames": 100,
    "backbone": "efficientnet_lite0",
    "image_size": [64, 32],
    "protocol": "drop",
}
"""What reports have in common."""


def test_seeds_have_their_mean_and_spread(tmp_path):
    rows = {}
    for seed, miou in ((1, 40.0), (2, 44.0)):
        both = {"rgb": {"miou": 10.0}, "rgb+lidar": {"miou": miou}}
        worst = {"miou": 10.0, "subset": "rgb"}
        rows[f"hub, seed {seed}"] = {**HEAD, "mean": 30.0, "worst": worst, "subsets": both}
    *_, head, _, last = spreads(rows)
    assert "val, 100 frames, efficientnet_lite0 at 64x32, drop" in head
    assert last == "| hub | 2 | 30.00 ± 0.00 | 42.00 ± 2.83 | 0.716 | 10.00 ± 0.00 (rgb) |"
    assert spreads({"hub": rows["hub, seed 1"]}) == []


def test_a_row_has_the_steps_and_minutes_of_all_its_stages(tmp_path):
    folder = tmp_path / "taught"
    for number, stage in enumerate((folder / "stage_1", folder)):
        (stage / "run").mkdir(parents=True)
        (stage / "run/metrics.jsonl").write_text(json.dumps({"seconds": 30 + number}))
        config = {"output": str(stage / "run"), "steps": 7 + number, "data": {"train": ["data"]}}
        (stage / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "val").mkdir()
    subsets = {"rgb": {"miou": 10.0, "ece": 0.1}}
    report = {**HEAD, "mean": 10.0, "worst": {"miou": 10.0, "subset": "rgb"}, "subsets": subsets}
    (folder / "val/report.json").write_text(json.dumps(report))
    table = markdown({"taught": folder}, "val")
    assert "val, 100 frames, efficientnet_lite0 at 64x32, drop" in table
    assert "| 7 + 8 | 1.0 |" in table and "stage_1/config.yaml; any2seg train" in table
    assert "none is evaluated yet" in markdown({"taught": folder}, "test")
