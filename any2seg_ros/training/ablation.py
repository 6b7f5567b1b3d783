"""Trains and evaluates recipes that differ in one thing each, and writes their table.

python -m any2seg_ros.training.ablation config/ablation.yaml --processes 2

Finished rows are kept, an interrupted one is resumed. Every row has a folder with its
configuration, weights and report.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from any2seg_ros.configuration import build, load, read_yaml
from any2seg_ros.training.config import TrainingConfig, load_config


@dataclass(frozen=True)
class AblationConfig:
    """A recipe, and what each row changes in it.

    recipe: path of the training configuration, relative to this file. output: folder of the rows'
    folders. changes: keys that all rows change. rows: keys that a row changes besides, by its name.
    """

    recipe: str
    output: str
    rows: dict[str, dict[str, Any]]
    changes: dict[str, Any] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    """Run the plan of the command line; 1 where a row failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path, help="YAML file, as config/ablation.yaml")
    parser.add_argument("--processes", type=int, default=1, help="of torchrun, for training")
    parser.add_argument("--split", default="val", help="that is evaluated on")
    chosen = parser.parse_args(arguments)
    try:
        rows = write_configs(chosen.plan)
        for name, folder in rows.items():
            print(f"{name}: {folder}", flush=True)
            _train(folder, chosen.processes)
            _evaluate(folder, chosen.split)
            table = markdown(rows, chosen.split)
            (folder.parent / f"{chosen.split}.md").write_text(table)
        print(table)
    except subprocess.CalledProcessError as error:
        print(f"ablation: {' '.join(error.cmd)} ended with {error.returncode}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    return 0


def write_configs(plan: Path) -> dict[str, Path]:
    """Write a folder with config.yaml for every row of the plan; the folders by the row's name.

    ValueError for an unknown key, or a row that is not a valid configuration.
    """
    given = load(AblationConfig, plan)
    if not given.rows:
        raise ValueError(f"{plan}: rows is empty: name at least one row")
    recipe = merged(read_yaml(plan.parent / given.recipe), given.changes)
    folders: dict[str, Path] = {}
    for name, changes in given.rows.items():
        folder = Path(given.output) / re.sub(r"\W+", "_", name).strip("_")
        if folder in folders.values():
            raise ValueError(f"{plan}: two rows have the folder {folder}: rename '{name}'")
        row = merged(recipe, {**changes, "output": str(folder / "run")})
        try:
            build(TrainingConfig, row)
        except ValueError as error:
            raise ValueError(f"{plan}: row '{name}': {error}") from None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(row, sort_keys=False))
        folders[name] = folder
    return folders


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` updated with `changes`, section by section."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        inner = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if inner else value
    return result


def _train(folder: Path, processes: int) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command += ["-m", "any2seg_ros.training", str(folder / "config.yaml")]
    subprocess.run(command, check=True)


def _evaluate(folder: Path, split: str) -> None:
    config = load_config(folder / "config.yaml")
    weights = Path(config.output) / "weights.safetensors"
    out = folder / split
    report = out / "report.json"
    if report.is_file() and report.stat().st_mtime > weights.stat().st_mtime:
        return
    command = [sys.executable, "-m", "any2seg_ros.cli", "evaluate", "--model", str(weights)]
    command += ["--data", config.data.val.path, "--split", split, "--robustness", "none"]
    subprocess.run([*command, "--out", str(out)], check=True)


def markdown(rows: Mapping[str, Path], split: str) -> str:
    """The table of the rows that have a report."""
    lines = [
        "| row | mean of subsets | all | worst | largest ECE | steps | min | seed | trained by |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, folder in rows.items():
        path = folder / split / "report.json"
        if path.is_file():
            lines.append(_line(name, json.loads(path.read_text()), folder))
    return "\n".join(lines) + "\n"


def _line(name: str, report: dict[str, Any], folder: Path) -> str:
    config = load_config(folder / "config.yaml")
    log = (Path(config.output) / "metrics.jsonl").read_text().splitlines()
    minutes = sum(json.loads(line).get("seconds", 0.0) for line in log) / 60
    subsets = report["subsets"]
    full = max(subsets, key=lambda subset: subset.count("+"))
    ece = max(score["ece"] for score in subsets.values())
    return (
        f"| {name} | {report['mean']:.2f} | {subsets[full]['miou']:.2f} | "
        f"{report['worst']['miou']:.2f} ({report['worst']['subset']}) | {ece:.3f} | "
        f"{config.steps} | {minutes:.1f} | {config.seed} | any2seg train {folder}/config.yaml |"
    )


if __name__ == "__main__":
    sys.exit(main())
