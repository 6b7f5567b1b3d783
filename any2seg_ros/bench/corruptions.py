"""Does a broken sensor do harm? All sensors with one corrupted, against the same without it.

python -m any2seg_ros.bench.corruptions --data data/benchmark --model real --frames 40

Every corruption of `any2seg replay --corrupt` in turn. A difference below zero is what the broken
sensor costs; "left out" counts the frames in which the gate did not believe it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from any2seg_ros.datasets import open_data
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.engine.engines import Features
from any2seg_ros.evaluation.corruptions import CORRUPTIONS, generator
from any2seg_ros.metrics import Confusion
from any2seg_ros.preprocessing import Preprocessor
from any2seg_ros.progress import ProgressBar
from any2seg_ros.training.validation import evenly_spread
from any2seg_ros.types import Frame, InvalidMeasurement, Modality

Kind = tuple[Modality, str]


@dataclass
class Cost:
    """Counts of one corruption: all sensors, and all but the corrupted one."""

    beside: Confusion
    without: Confusion
    frames: int = 0
    left_out: int = 0

    def row(self) -> dict[str, float]:
        """mIoU in percent, and counts of frames."""
        beside, without = self.beside.miou(), self.without.miou()
        return {
            "miou": beside,
            "miou_without": without,
            "difference": beside - without,
            "frames": self.frames,
            "left_out": self.left_out,
        }


def run(
    segmenter: Segmenter, root: Path, split: str = "val", frames: int = 40, seed: int = 0
) -> dict[str, dict[str, float]]:
    """`Cost.row` by "<sensor>:<corruption>", on frames spread evenly over the split (0: all)."""
    data = open_data(root, split)
    costs: dict[Kind, Cost] = {}
    classes = len(segmenter.taxonomy)
    chosen = evenly_spread(len(data), frames)
    with ProgressBar("corrupting", "frames") as bar:
        for done, index in enumerate(chosen, 1):
            preprocessor = Preprocessor(data.reference(index), segmenter.size)
            _count(segmenter, data[index], preprocessor, (seed, index), costs, classes)
            bar.update(done, len(chosen))
    return {f"{modality.label}:{name}": cost.row() for (modality, name), cost in costs.items()}


def _count(
    segmenter: Segmenter,
    frame: Frame,
    preprocessor: Preprocessor,
    seed: tuple[int, int],
    costs: dict[Kind, Cost],
    classes: int,
) -> None:
    """Add a frame to every corruption of its sensors."""
    assert frame.label is not None
    maps = segmenter.encode(preprocessor.preprocess(frame).images)
    if len(maps) < 2:
        return
    size = (frame.label.shape[1], frame.label.shape[0])
    without = {}
    for m in maps:
        left = segmenter.fuse({o: maps[o] for o in maps if o != m}, size)
        without[m] = Confusion(classes).add(frame.label, left.labels)
    for kind, image in _corrupted(frame, preprocessor, seed, maps):
        modality = kind[0]
        found = segmenter.fuse({**maps, **segmenter.encode({modality: image})}, size)
        cost = costs.setdefault(kind, Cost(Confusion(classes), Confusion(classes)))
        cost.beside.add(frame.label, found.labels)
        cost.without += without[modality]
        cost.frames += 1
        cost.left_out += found.weights[modality] == 0


def _corrupted(
    frame: Frame,
    preprocessor: Preprocessor,
    seed: tuple[int, int],
    maps: Mapping[Modality, Features],
) -> Iterator[tuple[Kind, np.ndarray]]:
    """The modality images of each corruption; what is refused as invalid does no harm."""
    for modality in maps:
        measurement = frame.measurements[modality]
        for name, corrupt in CORRUPTIONS[modality].items():
            worse = replace(measurement, data=corrupt(measurement.data, generator(*seed)))
            try:
                yield (modality, name), preprocessor.preprocess_one(worse)
            except InvalidMeasurement:
                continue


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """The rows as a Markdown table, the costliest first."""
    lines = [
        "| corrupted | all sensors | without it | difference | left out |",
        "|---|---|---|---|---|",
    ]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["difference"]):
        lines.append(
            f"| {name} | {row['miou']:.2f} | {row['miou_without']:.2f} | {row['difference']:+.2f} "
            f"| {row['left_out']:.0f} of {row['frames']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="Streets or DELIVER, with raw/")
    parser.add_argument("--split", default="val")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="seed of the corruptions")
    parser.add_argument("--model", default="", help="weights: real, streets or a file")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: as many as cores")
    parser.add_argument("--out", type=Path, help="file for the rows as JSON")
    options = parser.parse_args()
    segmenter = Segmenter.open(EngineConfig(options.model, threads=options.threads))
    rows = run(segmenter, options.data, options.split, options.frames, options.seed)
    print(table(rows))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
