"""Trains and evaluates recipes that differ in one thing each, and writes their table.

python -m any2seg_ros.training.ablation config/ablation.yaml --processes 2

Finished rows are kept, an interrupted one is resumed. Every row has a folder with its
configuration, weights and report. All rows with the lowest seed come first.

With `processor_seconds` every row is trained with as many steps as these pay for; with `seeds` once
for each. What a step of each row costs is measured before anything is trained, and kept in
seconds_a_step.json: that needs a machine that does nothing else (`--costs` ends there); training
does not. A row that is a list is trained in stages, each with its `share` of the seconds;
`{previous}` stands for the weights of the stage before. Processes that share the work: one for each
`--seed`.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from any2seg_ros.configuration import build, load, read_yaml
from any2seg_ros.files import write_atomically
from any2seg_ros.training.ablation_table import SEED, markdown, stages_before
from any2seg_ros.training.budget import fit_steps, processor_seconds, seconds_a_step
from any2seg_ros.training.config import TrainingConfig, load_config

PREVIOUS = "{previous}"
COST, SHARE = "processor_seconds.json", "share"
A_STEP = "seconds_a_step.json"
"""In the plan's output: by row, what a step of each of its stages costs."""


@dataclass(frozen=True)
class AblationConfig:
    """A recipe, and what each row changes in it.

    recipe: path of the training configuration, relative to this file. output: folder of the rows'
    folders. changes: keys that all rows change. rows: keys that a row changes besides, by its name,
    or a list of them, of stages one after the other. processor_seconds: what each row may cost to
    train; 0 takes the recipe's steps. seeds: each row is trained with each; without any, the
    recipe's.
    """

    recipe: str
    output: str
    rows: dict[str, Any]
    changes: dict[str, Any] = field(default_factory=dict)
    processor_seconds: float = 0.0
    seeds: tuple[int, ...] = ()


def main(arguments: list[str] | None = None) -> int:
    """Run the plan of the command line; 1 where a row failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", type=Path, help="YAML file, as config/ablation.yaml")
    parser.add_argument("--processes", type=int, default=1, help="of torchrun, for training")
    parser.add_argument("--split", default="val", help="that is evaluated on")
    parser.add_argument("--frames", type=int, default=0, help="of it, spread evenly; 0 for all")
    parser.add_argument("--seed", type=int, help="train the rows of this one alone")
    parser.add_argument("--costs", action="store_true", help="find out what steps cost, and end")
    chosen = parser.parse_args(arguments)
    try:
        rows = write_configs(chosen.plan)
        mine = {n: f for n, f in rows.items() if chosen.seed in (None, _seed(n))}
        if not mine:
            raise ValueError(f"{chosen.plan}: no row has the seed {chosen.seed}")
        _find_costs(rows)
        if chosen.costs:
            return 0
        judged = f"{chosen.split}_{chosen.frames}" if chosen.frames else chosen.split
        for name, folder in sorted(mine.items(), key=lambda row: _seed(row[0])):
            print(f"{name}: {folder}", flush=True)
            for stage in (*stages_before(folder), folder):
                _train(stage, chosen.processes)
            _evaluate(folder, chosen.split, chosen.frames, folder / judged)
            table = markdown(rows, judged)
            write_atomically(folder.parent / f"{judged}.md", table)
        print(table)
    except subprocess.CalledProcessError as error:
        print(f"ablation: {' '.join(error.cmd)} ended with {error.returncode}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    return 0


def _seed(name: str) -> int:
    """Of a row by its name; 0 where the plan has none."""
    return int(name.rpartition(SEED)[2]) if SEED in name else 0


def write_configs(plan: Path) -> dict[str, Path]:
    """Write a folder with config.yaml for every row of the plan; the folders by the row's name.

    ValueError for an unknown key, or a row that is not a valid configuration.
    """
    given = load(AblationConfig, plan)
    if not given.rows:
        raise ValueError(f"{plan}: rows is empty: name at least one row")
    recipe = merged(read_yaml(plan.parent / given.recipe), given.changes)
    folders: dict[str, Path] = {}
    for name, row in given.rows.items():
        for seed in given.seeds or (None,):
            told = name if seed is None else f"{name}{SEED}{seed}"
            folder = Path(given.output) / re.sub(r"\W+", "_", told).strip("_")
            if folder in folders.values():
                raise ValueError(f"{plan}: two rows have the folder {folder}: rename '{name}'")
            seeded = recipe if seed is None else {**recipe, "seed": seed}
            try:
                _write_row(row, seeded, folder, given.processor_seconds)
            except ValueError as error:
                raise ValueError(f"{plan}: row '{name}': {error}") from None
            folders[told] = folder
    return folders


def _write_row(row: Any, recipe: Mapping[str, Any], folder: Path, seconds: float) -> None:
    """The configurations of a row's stages; the last one's is the row's own."""
    stages = row if isinstance(row, list) and row else [row]
    if not all(isinstance(stage or {}, Mapping) for stage in stages):
        raise ValueError(f"is {row!r}, but must be a mapping, or a list of mappings")
    shares = [float((stage or {}).get(SHARE, 1.0)) for stage in stages]
    for number, (stage, share) in enumerate(zip(stages, shares, strict=True), start=1):
        path = folder if number == len(stages) else folder / f"stage_{number}"
        before = folder / f"stage_{number - 1}" / "run" / "weights.safetensors"
        changes = {key: value for key, value in (stage or {}).items() if key != SHARE}
        config = merged(recipe, {**_filled(changes, str(before)), "output": str(path / "run")})
        build(TrainingConfig, config)
        path.mkdir(parents=True, exist_ok=True)
        cost = {"seconds": seconds * share / sum(shares)} if seconds else {}
        known = json.loads((path / COST).read_text()) if (path / COST).is_file() else {}
        if cost and known.get("seconds") == cost["seconds"]:  # steps stay, so that runs go on
            kept = yaml.safe_load((path / "config.yaml").read_text())
            config |= {key: kept[key] for key in ("steps", "validate_every") if key in kept}
            cost = known
        elif known.get("spent"):
            raise ValueError(
                f"{path} was trained with {known['seconds']:g} processor seconds, not "
                f"{cost.get('seconds', 0):g}: name another output, or delete it"
            )
        write_atomically(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        if cost:
            write_atomically(path / COST, json.dumps(cost))


def _filled(value: Any, previous: str) -> Any:
    """A copy in which `{previous}` is the path of the weights of the stage before."""
    if isinstance(value, Mapping):
        return {key: _filled(part, previous) for key, part in value.items()}
    return previous if value == PREVIOUS else value


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` updated with `changes`, section by section."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        inner = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if inner else value
    return result


def _find_costs(rows: Mapping[str, Path]) -> None:
    """Steps for every stage that has seconds: what one costs is measured once for all seeds."""
    for name, folder in rows.items():
        row, stages = name.rpartition(SEED)[0] or name, (*stages_before(folder), folder)
        if not (folder / COST).is_file():
            continue
        path, shape = folder.parent / A_STEP, _shape(stages)
        known = json.loads(path.read_text()) if path.is_file() else {}
        if row not in known or known[row]["of"] != shape:
            known[row] = {"of": shape, "seconds": _costs(stages)}
            write_atomically(path, json.dumps(known, indent=1) + "\n")
            told = ", ".join(f"{cost:.2f}" for cost in known[row]["seconds"])
            print(f"{row}: {told} s a step", flush=True)
        for stage, a_step in zip(stages, known[row]["seconds"], strict=True):
            _give_steps(stage, a_step)


def _shape(stages: Sequence[Path]) -> str:
    """What steps of these stages cost the same with: all of their configurations but how many."""
    free = {"steps", "validate_every", "seed", "output", "init_from"}
    parts = []
    for stage in stages:
        config = yaml.safe_load((stage / "config.yaml").read_text())
        kept = {key: value for key, value in config.items() if key not in free}
        losses = {k: v for k, v in config.get("losses", {}).items() if k != "teacher"}
        parts.append({**kept, "losses": losses})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _costs(stages: Sequence[Path]) -> list[float]:
    """What a step of each of a row's stages costs; weights that it needs are those of one step."""
    costs: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, stage in enumerate(stages):
            told = (stage / "config.yaml").read_text()
            for before in stages[:number]:
                told = told.replace(str(before / "run"), f"{scratch}/{before.name}")
            config = yaml.safe_load(told)
            costs.append(seconds_a_step(config))
            if stage != stages[-1]:
                _one_step(config, Path(scratch) / stage.name)
    return costs


def _one_step(config: Mapping[str, Any], output: Path) -> None:
    """Weights of a single step, for a stage that begins with them."""
    path = output.with_suffix(".yaml")
    short = {"steps": 1, "validate_every": 1, "gate_frames": 0, "output": str(output)}
    seen = {"data": {"val_frames": 1}, "optimizer": {"warmup_steps": 0}}
    path.write_text(yaml.safe_dump(merged(merged(config, short), seen)))
    subprocess.run([sys.executable, "-m", "any2seg_ros.training", str(path)], check=True)


def _give_steps(folder: Path, a_step: float) -> None:
    cost = json.loads((folder / COST).read_text())
    if "spent" not in cost:
        path = folder / "config.yaml"
        fitted = fit_steps(yaml.safe_load(path.read_text()), cost["seconds"], a_step)
        write_atomically(path, yaml.safe_dump(fitted, sort_keys=False))
        write_atomically(folder / COST, json.dumps({**cost, "spent": 0.0}))


def _train(folder: Path, processes: int) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command += ["-m", "any2seg_ros.training", str(folder / "config.yaml")]
    finished = (_output(folder) / "weights.safetensors").is_file()
    spent = processor_seconds(command)
    if (folder / COST).is_file() and not finished:
        cost = json.loads((folder / COST).read_text())
        cost["spent"] += round(spent, 1)
        write_atomically(folder / COST, json.dumps(cost))


def _output(folder: Path) -> Path:
    return Path(load_config(folder / "config.yaml").output)


def _evaluate(folder: Path, split: str, frames: int, out: Path) -> None:
    config = load_config(folder / "config.yaml")
    weights = Path(config.output) / "weights.safetensors"
    report = out / "report.json"
    if report.is_file() and report.stat().st_mtime > weights.stat().st_mtime:
        return
    command = [sys.executable, "-m", "any2seg_ros.cli", "evaluate", "--model", str(weights)]
    command += ["--data", config.data.val.path, "--split", split, "--robustness", "none"]
    command += ["--limit", str(frames)]
    # Threads that spin while they wait cost a busy machine many times what they compute.
    patient = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    subprocess.run([*command, "--out", str(out)], check=True, env=patient)


if __name__ == "__main__":
    sys.exit(main())
