"""Trains and evaluates a row of recipes that differ in one thing each, and writes their table.

python -m any2seg_ros.training.ablation config/ablation.yaml --processes 2

Rows that are done are kept, one that was cut off goes on. Every row leaves its configuration, its
weights and its report in a folder of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from any2seg_ros.training.config import load_config

KEYS = ("recipe", "output", "changes", "rows")


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says; 1 where a row failed."""
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
    """A folder with config.yaml for every row of the plan, by the row's name.

    ValueError for an unknown key, and for a row that is no configuration.
    """
    content = _read(plan)
    unknown, absent = set(content) - set(KEYS), {"recipe", "output", "rows"} - set(content)
    if unknown:
        raise ValueError(f"{plan}: unknown key '{min(unknown)}': use {', '.join(KEYS)}")
    if absent or not isinstance(content["rows"], dict) or not content["rows"]:
        raise ValueError(f"{plan}: needs recipe, output and rows, at least one, by name")
    for key in ("recipe", "output"):
        if not isinstance(content[key], str):
            raise ValueError(f"{plan}: {key} must be a path, not {content[key]!r}")
    changes = _mapping(content.get("changes"), f"{plan}: changes")
    recipe = merged(_read(plan.parent / content["recipe"]), changes)
    folders: dict[str, Path] = {}
    for name, row in content["rows"].items():
        name = str(name)
        changes = _mapping(row, f"{plan}: the row '{name}'")
        folder = Path(content["output"]) / re.sub(r"\W+", "_", name).strip("_")
        if folder in folders.values():
            raise ValueError(f"{plan}: two rows have the folder {folder}: rename '{name}'")
        folder.mkdir(parents=True, exist_ok=True)
        row = merged(recipe, {**changes, "output": str(folder / "run")})
        (folder / "config.yaml").write_text(yaml.safe_dump(row, sort_keys=False))
        load_config(folder / "config.yaml")
        folders[name] = folder
    return folders


def _mapping(content: Any, what: str) -> dict[str, Any]:
    """What is said in a plan of `what`; nothing where it is empty."""
    if not isinstance(content or {}, dict):
        raise ValueError(f"{what} must be a mapping of keys to values, not {content!r}")
    return content or {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must be a mapping of keys to values")
    return content


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, section by section."""
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
    command += ["--data", config.data.val, "--split", split, "--robustness", "none"]
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
