"""Small training runs on small data, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import training_data
import yaml


def write_data(root: Path) -> Path:
    """`root` with a data set of 12 frames to train on and 4 to validate on."""
    training_data.write(root / "data", "train", 12)
    training_data.write(root / "data", "val", 4)
    return root


def written(place: Path, output: str, **changes) -> Path:
    """The configuration of a run of 6 steps with these changes, as a file."""
    content = {
        "output": str(place / output),
        "steps": 6,
        "batch_size": 4,
        "image_size": [64, 32],
        "device": "cpu",
        "init_from": "",
        "frozen_stages": 0,
        "validate_every": 6,
        "checkpoint_every": 2,
        "threads": 1,
        "network": {"width": 16, "dropout": 0.0},
        "data": {
            "train": [str(place / "data")],
            "val": str(place / "data"),
            "cache": str(place / "cache"),
        },
        "optimizer": {"lr": 1e-4, "encoder_lr_mult": 1.0, "warmup_steps": 2},
        "losses": {"class_power": 0.5, "distillation": 0.5},
    }
    for key, value in changes.items():
        content[key] = {**content.get(key, {}), **value} if isinstance(value, dict) else value
    path = place / f"{output}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def rows(place: Path, output: str) -> list[dict]:
    text = (place / output / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def losses(place: Path, output: str) -> list[float]:
    return [row["loss"] for row in rows(place, output) if "loss" in row]
