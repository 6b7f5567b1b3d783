"""Kill a command at random moments, start it again, and compare its result with an undisturbed one.

The command is killed with SIGKILL after a random share of the time that it takes undisturbed, and
given again, until it ends by itself; then the next folder begins, until there were enough kills.
Data and networks are tiny: what is tried is what is left on disk, not what is learned.

  python -m any2seg_ros.bench.kills --what training --times 20 --seed 0
  python -m any2seg_ros.bench.kills --what all --times 5 --json kills.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from any2seg_ros import resources
from any2seg_ros.files import checksum

PATIENCE_S = 1800.0
_SIZE = "96x64"
_FEW = 24
"""Frames that an adaptation keeps of its bag."""
_ADAPTED = {"width": 16, "dropout": 0.0, "adapters": True}
_VOLATILE = ("second", "latency", "date", "time", "machine", "cost", "page", "revision", "model")
"""Keys of reports with these words in them may differ from run to run."""


@dataclass(frozen=True)
class Job:
    """A command, and what has to be the same of its result.

    command: arguments of `any2seg`, of the place with the data and the folder of the output.
    result: of that folder.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    result: Callable[[Path], Any]


def simulation(place: Path, out: Path) -> list[str]:
    """Two drives of two frames."""
    drives = ["--scenes", "2", "--frames", "2", "--conditions", "sun", "--jobs", "1"]
    return ["simulate", "--out", str(out), "--size", _SIZE, *drives]


def training(place: Path, out: Path) -> list[str]:
    """Eight steps of a tiny network, a checkpoint every second."""
    return ["train", str(_config(place, out))]


def adapters(place: Path, out: Path) -> list[str]:
    """The same of adapters in a network that is there."""
    start = str(place / "weights.safetensors")
    changes = {"trainable": "adapters", "network": _ADAPTED, "init_from": start}
    return ["train", str(_config(place, out, **changes))]


def evaluation(place: Path, out: Path) -> list[str]:
    """All subsets of sensors on four frames."""
    network = ["--model", str(place / "weights.safetensors"), "--engine", "torch"]
    quick = ["--robustness", "rmm", "--latency-frames", "0", "--threads", "1"]
    return ["evaluate", "--data", str(place / "data"), "--out", str(out), *network, *quick]


def replay(place: Path, out: Path) -> list[str]:
    """The demo's drive."""
    bag = str(resources.find("demo_data/streets"))
    network = ["--model", str(place / "weights.safetensors"), "--engine", "torch"]
    return ["replay", "--bag", bag, "--out", str(out), "--outputs", "mask,status", *network]


def adaptation(place: Path, out: Path) -> list[str]:
    """A step in each of three rounds, on some frames of the demo's drive.

    So little time pays for no more steps, however fast the machine is.
    """
    bag = str(resources.find("demo_data/streets"))
    drive = ["--data", bag, "--frames", str(_FEW), "--streets", str(place / "data")]
    network = ["--model", str(place / "streets.safetensors"), "--threads", "1"]
    return ["adapt", "--out", str(out), *drive, *network, "--minutes", "1e-6", "--device", "cpu"]


def files(folder: Path) -> dict[str, str]:
    """Checksums of all files but hidden ones."""
    return {
        path.relative_to(folder).as_posix(): checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def output_bag(folder: Path) -> dict[str, str]:
    """Checksums of the bag."""
    return {name: digest for name, digest in files(folder).items() if name.endswith(".mcap")}


def trained(folder: Path) -> dict[str, Any]:
    """The losses of all steps, and the numbers of the weights."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    return {"losses": losses, "weights": _numbers(folder / "weights.safetensors")}


def adapted(folder: Path) -> dict[str, str]:
    """What was judged, and the numbers of all weights, the chosen ones among them."""
    weights = {
        path.relative_to(folder).as_posix(): _numbers(path)
        for path in sorted(folder.rglob("*.safetensors"))
    }
    return {"judged": checksum(folder / "judged.json"), **weights}


def _numbers(weights: Path) -> str:
    """The checksum of a file of weights without its metadata, which name the folder."""
    from safetensors.numpy import load_file

    digest = hashlib.sha256()
    for name, array in sorted(load_file(weights).items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def report(folder: Path) -> Any:
    """The report without what depends on the machine."""
    return _steady(json.loads((folder / "report.json").read_text()))


JOBS = {
    job.name: job
    for job in (
        Job("simulation", simulation, files),
        Job("training", training, trained),
        Job("evaluation", evaluation, report),
        Job("replay", replay, output_bag),
        Job("adapters", adapters, trained),
        Job("adaptation", adaptation, adapted),
    )
}


def run(names: Sequence[str], times: int = 20, seed: int = 0) -> dict[str, Any]:
    """Kill these jobs so many times each; figures by job, `same` among them."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="any2seg-kills-") as folder:
        place = Path(folder)
        prepare(place, names)
        for name in names:
            found[name] = disturb(JOBS[name], place, times, random.Random(f"{seed} {name}"))
            print(json.dumps({name: found[name]}), flush=True)
    return found


def prepare(place: Path, names: Sequence[str]) -> None:
    """Tiny data, and weights for the jobs that need some."""
    if set(names) == {"simulation"}:
        return
    for split, scenes in (("train", "2"), ("val", "1")):
        drives = ["--scenes", scenes, "--frames", "4", "--conditions", "sun", "--jobs", "1"]
        given = ["simulate", "--out", str(place / "data"), "--size", _SIZE, "--split", split]
        _finish([*given, *drives], place)
    if "adaptation" in names:
        _write_small(place / "streets.safetensors")
    if set(names) & {"evaluation", "replay", "adapters"}:
        before = place / "before"
        _finish(["train", str(_config(place, before, network=_ADAPTED))], place)
        os.replace(before / "weights.safetensors", place / "weights.safetensors")


def _write_small(path: Path) -> None:
    """The package's weights for small images: they are sure of some pixels."""
    from any2seg_ros.network import checkpoints

    network, metadata = checkpoints.load(resources.weights_path("streets"))
    width, height = map(int, _SIZE.split("x"))
    checkpoints.save(path, network, replace(metadata, size=(width, height)), half=True)


def disturb(job: Job, place: Path, times: int, chance: random.Random) -> dict[str, Any]:
    """Run a job undisturbed, then kill it so many times; RuntimeError if it ends with an error."""
    began = time.monotonic()
    _finish(job.command(place, place / f"{job.name}_whole"), place)
    seconds = time.monotonic() - began
    expected = job.result(place / f"{job.name}_whole")
    kills = ended = same = 0
    out = place / f"{job.name}_0"
    while kills < times:
        if _killed(job.command(place, out), place, chance.uniform(0.0, seconds)):
            kills += 1
            if kills < times:
                continue
            _finish(job.command(place, out), place)
        ended += 1
        same += job.result(out) == expected
        out = place / f"{job.name}_{ended}"
    figures = {"kills": kills, "results": ended, "same": same}
    return {**figures, "seconds_undisturbed": round(seconds, 1)}


def _killed(arguments: Sequence[str], place: Path, after: float) -> bool:
    """Start a command and kill it; False if it had ended before, RuntimeError if wrongly."""
    with _started(arguments, place) as process:
        try:
            code = process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
    _check(code, arguments, place)
    return False


def _finish(arguments: Sequence[str], place: Path) -> None:
    with _started(arguments, place) as process:
        try:
            code = process.wait(PATIENCE_S)
        except BaseException:
            process.kill()
            raise
    _check(code, arguments, place)


def _started(arguments: Sequence[str], place: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "any2seg_ros.cli", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (place / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _check(code: int, arguments: Sequence[str], place: Path) -> None:
    if code:
        tail = (place / "log").read_text(errors="replace").splitlines()[-5:]
        raise RuntimeError(f"any2seg {' '.join(arguments)} ended with {code}: {' / '.join(tail)}")


def _config(place: Path, out: Path, **changes: Any) -> Path:
    content = {
        "output": str(out),
        "steps": 8,
        "batch_size": 4,
        "image_size": [64, 32],
        "device": "cpu",
        "init_from": "",
        "frozen_stages": 0,
        "validate_every": 4,
        "checkpoint_every": 2,
        "threads": 1,
        "network": {"width": 16, "dropout": 0.0},
        "data": {
            "train": [str(place / "data")],
            "val": str(place / "data"),
            "cache": str(out.with_name(f"{out.name}_cache")),
        },
        "optimizer": {"lr": 1e-4, "encoder_lr_mult": 1.0, "warmup_steps": 2},
        **changes,
    }
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(content))
    return path


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not any(word in k for word in _VOLATILE)}
        return {key: _steady(one) for key, one in kept.items()}
    return [_steady(one) for one in value] if isinstance(value, list) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all results were the same, 1 if one was not."""
    plain: Any = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "any2seg_ros.bench.kills", None, __doc__, formatter_class=plain
    )
    parser.add_argument("--what", choices=[*JOBS, "all"], default="all")
    parser.add_argument("--times", type=int, default=20, help="kills of each; default: 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args(arguments)
    names = list(JOBS) if options.what == "all" else [options.what]
    try:
        found = run(names, options.times, options.seed)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(one["same"] != one["results"] for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
