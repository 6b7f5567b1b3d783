"""A long drive: an hour's bag through replay, evaluate and adapt, and their memory.

python -m any2seg_ros.bench.drive --minutes 60 --every 20
python -m any2seg_ros.bench.drive --write hour_bag --minutes 60 --every 20    only makes the bag
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.bench.figures import SETTLED, growth
from any2seg_ros.bench.replay import repeat
from any2seg_ros.demo.process import resident_mib
from any2seg_ros.resources import find

SECTION = "drive"
MINUTES = 60.0
EVERY = 20
"""Of so many frames one is kept: half a frame a second makes the hour affordable."""
_PARTS = (0.1, 0.3, 0.5, 0.75, 1.0)
_SAMPLE_S = 0.5
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "replay": ("replay", "--bag", "{bag}", "--out", "{out}", "--outputs", "mask,status"),
    "evaluate": (
        "evaluate", "--data", "{bag}", "--out", "{out}", "--modalities", "rgb+lidar",
        "--robustness", "none",
    ),
}  # fmt: skip
_ADAPT = (
    "adapt", "--data", "{bag}", "--out", "{out}", "--streets", "{streets}", "--frames", "60",
    "--minutes", "0.1", "--model", "streets",
)  # fmt: skip


def run(minutes: float = MINUTES, every: int = EVERY) -> dict[str, Any]:
    """The demo bag repeated for `minutes`, thinned to one frame of `every`, through each command.

    resident_mib: after so large a share of the run. growth_mib: of a straight line through the
    samples after the first 30 %, from there to the end. adapt: see `adapted`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bag = folder / "bag"
        figures: dict[str, Any] = write(bag, minutes, every)
        for command, words in _COMMANDS.items():
            given = [word.format(bag=bag, out=folder / command) for word in words]
            figures[command] = watched(given, folder / f"{command}.log")
        write(folder / "tenth", minutes / 10, every)
        figures["adapt"] = adapted(folder, {"bag": bag, "tenth": folder / "tenth"})
    return figures


def adapted(folder: Path, bags: Mapping[str, Path]) -> dict[str, Any]:
    """The most resident memory (MiB) of `any2seg adapt` on each of the bags, and how long it took.

    Its work has parts that need more memory than others, and the parts after reading are as long
    for every bag: memory that grows with a bag is seen beside that of a shorter one.
    """
    from any2seg_ros.simulation.dataset import Plan, write_plans

    streets = folder / "streets"
    try:
        write_plans(streets, [Plan(split, scenes=2, frames=3) for split in ("train", "val")])
    except ModuleNotFoundError as error:
        return {"missing": str(error)}
    figures: dict[str, Any] = {}
    for name, bag in bags.items():
        out = folder / f"adapted_{name}"
        given = [word.format(bag=bag, out=out, streets=streets) for word in _ADAPT]
        seen = watched(given, folder / f"{name}.log")
        figures[name] = {key: seen[key] for key in ("wall_s", "processor_s", "most_mib")}
    return figures


def write(out: Path, minutes: float, every: int) -> dict[str, Any]:
    """Write the long bag; its minutes and its size in MB."""
    from any2seg_ros.bags import BagReader

    bag = find("demo_data/streets")
    with BagReader(bag) as reader:
        length = reader.duration + 50_000_000
    repeat(bag, out, max(1, round(minutes * 60e9 / length)), every)
    with BagReader(out) as reader:
        duration, frames = reader.duration, reader.counts["/rgb/image/compressed"]
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {"bag_minutes": round(duration / 60e9, 1), "frames": frames, "bag_mb": size // 10**6}


def watched(words: Sequence[str], log: Path) -> dict[str, Any]:
    """Run a command of `any2seg` and sample its resident memory; ChildProcessError if it fails."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "any2seg_ros.cli", *words], stdout=output, stderr=output
        )
        samples: list[float] = []
        began = time.monotonic()
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            samples.append(resident_mib(process.pid))
            time.sleep(_SAMPLE_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ChildProcessError(f"any2seg {words[0]} failed:\n{log.read_text()[-2000:]}")
    seconds = time.monotonic() - began
    processor_s = usage.ru_utime + usage.ru_stime
    return {"wall_s": round(seconds), "processor_s": round(processor_s), **summary(samples)}


def summary(samples: Sequence[float]) -> dict[str, Any]:
    """The result of `run` for one command, of MiB at equal distances."""
    memory = np.array([one for one in samples if one])
    parts = {f"{part:.0%}": round(memory[int(part * (len(memory) - 1))]) for part in _PARTS}
    slope = growth(np.arange(len(memory)), memory)
    return {
        "resident_mib": parts,
        "most_mib": round(float(memory.max())),
        "growth_mib": round(slope * (1 - SETTLED) * len(memory), 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, or only write the bag."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--every", type=int, default=EVERY, help="keep one frame of so many")
    parser.add_argument("--write", type=Path, metavar="BAG", help="only write the bag")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        figures = write(chosen.write, chosen.minutes, chosen.every)
    else:
        figures = run(chosen.minutes, chosen.every)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
