"""What `any2seg adapt` is worth: before and after, where the truth is known.

python -m any2seg_ros.bench.adaptation config/adaptation.yaml

On simulated drives of vehicles that no training has seen, and on real ones, judged on the last
third of each against what another network is sure of in the camera's images, which the adaptation
does not read. Finished rows are kept; the same command goes on with the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.adaptation.recipe import of_round, round_config
from any2seg_ros.adaptation.result import BEFORE, Outcome
from any2seg_ros.adaptation.run import Adaptation
from any2seg_ros.bench.boxes import PointScores, score_boxes
from any2seg_ros.configuration import load
from any2seg_ros.datasets import Labelling, parse_topics
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.files import write_atomically
from any2seg_ros.simulation.dataset import Plan, write_bags
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached, relabelled
from any2seg_ros.training.trainer import Trainer
from any2seg_ros.training.validation import score, some_frames, together_and_alone
from any2seg_ros.types import IGNORE, Modality, largest


@dataclass(frozen=True)
class RealDrive:
    """A bag, and the labels of another network that it is judged against where they are sure."""

    name: str
    bag: str
    labels: tuple[str, ...]
    label_map: tuple[str, ...]
    confidence: str
    topics: tuple[str, ...] = ()
    sure: float = 0.8
    boxes: str = ""
    """3-D boxes of vehicles and people by key frame, see `bench.boxes`; empty for none."""
    model: str = "streets"
    """Weights to begin with, which have not seen the drive."""

    def labelling(self, sure: float) -> Labelling:
        """Its labels, where they are at least so sure."""
        folders = tuple(map(Path, self.labels))
        return Labelling(folders, self.label_map, Path(self.confidence), sure)


@dataclass(frozen=True)
class SimulatedDrives:
    """Vehicles drawn at random in towns of the test split; each rig has `bags` drives."""

    rigs: tuple[int, ...] = ()
    """Seeds of the rigs and their towns."""
    bags: int = 6
    frames: int = 32
    rate: float = 4.0
    conditions: tuple[str, ...] = ("night",)
    model: str = "streets"


@dataclass(frozen=True)
class BenchConfig:
    """output: folder of everything. minutes: of training, as `any2seg adapt --minutes`; steps:
    instead, if not 0. supervised: whether the same steps with labels are run beside."""

    output: str
    minutes: float = 4.0
    steps: int = 0
    rounds: int = 3
    seeds: tuple[int, ...] = (0,)
    streets: str = ""
    supervised: bool = True
    threads: int = 0
    simulated: SimulatedDrives = field(default_factory=SimulatedDrives)
    drives: tuple[RealDrive, ...] = ()


Scores = dict[str, float]
"""mIoU in percent by subset name."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the configuration says and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    config = load(BenchConfig, parser.parse_args(arguments).config)
    rows = list(_rows(config))
    print(markdown(rows))
    return 0


def _rows(config: BenchConfig) -> Iterable[dict[str, Any]]:
    for seed in config.seeds:
        for rig in config.simulated.rigs:
            name = f"rig {rig}, seed {seed}"
            yield _kept(config, name, lambda rig=rig, seed=seed: _simulated(config, rig, seed))
        for drive in config.drives:
            name = f"{drive.name}, seed {seed}"
            yield _kept(config, name, lambda drive=drive, seed=seed: _real(config, drive, seed))


def _kept(config: BenchConfig, name: str, work: Any) -> dict[str, Any]:
    """A finished row, or one that is made now."""
    path = Path(config.output) / f"{name.replace(', ', '_').replace(' ', '')}.json"
    if not path.is_file():
        write_atomically(path, json.dumps({"name": name, **work()}, indent=1) + "\n")
    row = json.loads(path.read_text())
    print(json.dumps(row), file=sys.stderr)
    return row


def _adaptation(
    config: BenchConfig, out: str, bags: tuple[Path, ...], model: str, seed: int, **more: Any
) -> Adaptation:
    given = AdaptationConfig(
        bags=bags,
        out=Path(config.output) / out,
        model=model,
        minutes=config.minutes,
        streets=Path(config.streets) if config.streets else None,
        seed=seed,
        threads=config.threads,
        steps=config.steps,
        rounds=config.rounds,
    )
    return Adaptation(replace(given, **more), lambda line: print(line, file=sys.stderr))


def _simulated(config: BenchConfig, rig: int, seed: int) -> dict[str, Any]:
    plan = config.simulated
    folder = Path(config.output) / f"rig{rig}"
    drives = Plan("test", plan.bags, plan.frames, plan.conditions, (), plan.rate, rig, rigs=1)
    write_bags(folder, drives)
    bags = (folder,)
    work = _adaptation(config, f"rig{rig}_seed{seed}", bags, plan.model, seed)
    outcome = work.run()
    truth = _truth(work, Labelling(), ())
    row = _before_and_after(work, truth, outcome)
    if config.supervised:
        row["with labels"] = _score(_supervised(work, truth, outcome.steps), work, truth)
    return row


def _real(config: BenchConfig, drive: RealDrive, seed: int) -> dict[str, Any]:
    bags = (Path(drive.bag),)
    name = f"{drive.name}_seed{seed}"
    work = _adaptation(config, name, bags, drive.model, seed, topics=drive.topics)
    outcome = work.run()
    truth = _truth(work, drive.labelling(drive.sure), drive.topics)
    row = _before_and_after(work, truth, outcome)
    if drive.boxes:
        row["boxes before"] = _boxes(work, work.model, drive)
        row["boxes"] = _boxes(work, _weights(work), drive)
    if config.supervised:
        taught = _adaptation(
            config,
            f"{name}_labels",
            bags,
            drive.model,
            seed,
            topics=drive.topics,
            labelling=drive.labelling(0.6),
        )
        taught.run()
        row["with labels"] = _score(_weights(taught), taught, truth)
        if drive.boxes:
            row["boxes with labels"] = _boxes(taught, _weights(taught), drive)
    return row


def _weights(work: Adaptation) -> Path:
    """The new weights, or the old ones where they stay."""
    return work.weights if work.weights.is_file() else work.model


def _before_and_after(work: Adaptation, truth: CachedDataset, outcome: Outcome) -> dict[str, Any]:
    """The scores of all weights that the adaptation judged, Streets val as it judged it."""
    judged = {
        name: {
            "drive": _on_drive(_segmenter(work.file_of(name), work), work, truth),
            "streets": one.streets,
        }
        for name, one in outcome.judged.items()
    }
    return {
        "chosen": outcome.chosen,
        "steps": outcome.steps,
        "before": judged[BEFORE],
        "after": judged[outcome.chosen],
        "all judged": judged,
    }


def _truth(work: Adaptation, labelling: Labelling, topics: tuple[str, ...]) -> CachedDataset:
    """The frames of the drive that have labels, with these."""
    drive = work.drive
    source = BagSource("truth", list(drive.bags), work.target, 0, labelling, parse_topics(topics))
    return open_cached(source, f"truth {drive.bags}", work.target, work.config.out / "truth")


def _score(weights: Path, work: Adaptation, truth: CachedDataset) -> dict[str, Scores]:
    """Of the held-back frames, and of Streets val."""
    segmenter = _segmenter(weights, work)
    return {
        "drive": _on_drive(segmenter, work, truth),
        "streets": work.score_streets(segmenter),
    }


def _on_drive(segmenter: Segmenter, work: Adaptation, truth: CachedDataset) -> Scores:
    held = {work.drive.cached.names[i] for i in work.drive.held}
    frames = [i for i in some_frames(truth, 0) if truth.names[i] in held]
    subsets = together_and_alone(truth.present[frames])
    return score(segmenter, truth, frames, subsets)


def _segmenter(weights: Path, work: Adaptation) -> Segmenter:
    return Segmenter.open(EngineConfig(str(weights), "torch", "cpu", work.config.threads))


def _supervised(work: Adaptation, truth: CachedDataset, steps: int) -> Path:
    """Weights after as many steps with the true labels of what the adaptation learned from."""
    drive, out = work.drive, work.config.out
    learned = [drive.cached.names[i] for i in drive.learned]
    where = {name: i for i, name in enumerate(truth.names)}
    present = np.zeros_like(truth.present)
    rows = [where[name] for name in learned if name in where]
    present[rows] = truth.present[rows]
    nothing = np.full(truth.labels.shape[-2:], IGNORE, np.uint8)
    known = set(rows)
    labels = (
        (truth.labels[i] if i in known else nothing, np.full_like(nothing, 255))
        for i in range(len(truth))
    )
    lessons = out / "lessons" / "true"
    relabelled(truth, lessons, truth.groups, present, labels)
    header, streets = work.header, work.streets
    everyone = [m.label for m in Modality]
    first = round_config(work.config, header, work.model, lessons, streets, everyone, True)
    one = of_round(first, 1, steps, work.model, lessons)
    trainer = Trainer(replace(one, output=str(out / "with_labels")))
    trainer.run()
    return trainer.folder.weights


def _boxes(work: Adaptation, weights: Path, drive: RealDrive) -> dict[str, Any]:
    held = work.drive.held.tolist()
    found: PointScores = score_boxes(
        _segmenter(weights, work), work.drive.cached, held, Path(drive.boxes)
    )
    return found.table()


def markdown(rows: list[dict[str, Any]]) -> str:
    """Gains by row, points in boxes, and the means over the simulated drives with their spread."""
    lines = [
        "| drive | chosen | each sensor alone, before → after | all sensors | Streets val, all "
        "| mean of sensors | with labels |",
        "|---|---|---|---|---|---:|---:|",
        *map(_row, rows),
        *(line for row in rows for line in _boxes_lines(row)),
    ]
    simulated = [_gains(row) for row in rows if row["name"].startswith("rig")]
    if len(simulated) > 1:
        each = ((what, [gains[what] for gains in simulated]) for what in simulated[0])
        means = "; ".join(f"{what} {mean(v):+.1f} ± {stdev(v):.1f}" for what, v in each)
        lines.append(f"\nMean of the simulated drives: {means}")
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    before, after, labelled = row["before"], row["after"], row.get("with labels")
    alone = [name for name in before["drive"] if "+" not in name]
    full, all_streets = largest(before["drive"]), largest(before["streets"])
    cells = [
        row["name"],
        row["chosen"],
        ", ".join(f"{n} {before['drive'][n]:.1f} → {after['drive'][n]:.1f}" for n in alone),
        f"{before['drive'][full]:.1f} → {after['drive'][full]:.1f}",
        f"{before['streets'][all_streets]:.1f} → {after['streets'][all_streets]:.1f}",
        f"{_gain(before, after, alone):+.1f}",
        f"{_gain(before, labelled, alone):+.1f}" if labelled else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _gains(row: dict[str, Any]) -> dict[str, float]:
    """What is wanted of an adaptation, in points."""
    before, after = row["before"], row["after"]
    alone = [name for name in before["drive"] if "+" not in name]
    weakest = min(alone, key=lambda name: before["drive"][name])
    full, all_streets = largest(before["drive"]), largest(before["streets"])
    return {
        "each sensor alone": _gain(before, after, alone),
        "the weakest": _gain(before, after, [weakest]),
        "all sensors": _gain(before, after, [full]),
        "Streets val, all": after["streets"][all_streets] - before["streets"][all_streets],
    }


def _boxes_lines(row: dict[str, Any]) -> list[str]:
    """Recall and precision of LiDAR alone, of points on vehicles and people."""
    before = row.get("boxes before")
    after = {"": row.get("boxes"), " with labels": row.get("boxes with labels")}
    return [
        f"\n{row['name']}{how}, LiDAR alone, {one['points']} points on {kind}: "
        f"recall {one['recall']:.1f} → {found[kind]['recall']:.1f} %, "
        f"precision {one['precision']:.1f} → {found[kind]['precision']:.1f} %"
        for how, found in after.items()
        if before and found
        for kind, one in before.items()
    ]


def _gain(before: Mapping[str, Scores], after: Mapping[str, Scores], names: list[str]) -> float:
    return mean(after["drive"][name] - before["drive"][name] for name in names)


if __name__ == "__main__":
    sys.exit(main())
