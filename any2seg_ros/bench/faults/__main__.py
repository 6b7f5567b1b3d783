"""Attack the node with one fault after the other, and write a table of what became of it.

The node runs as a process of its own with config/demo.yaml; a bag is played to it over DDS in a
loop. The control is the same node just before and after each fault: on shared cores a second node
would take from the first what it is measured by. Rates are masks for each frame that was played, so
that a vehicle that is held up is not held against the node.

  python -m any2seg_ros.bench.faults --list                    all faults, by name
  python -m any2seg_ros.bench.faults --only '^rgb' --only tf    those whose names match
  python -m any2seg_ros.bench.faults --out faults               faults/faults.md and faults.json

lived: still running, or ended with the code it has to end with. said: the reason, in ~/status,
/diagnostics or the log. rate: masks, of the control's. others: use of the sensor that lost most, of
those that the fault does not hit. cost: processor time of the node for each mask, of the control's.
recovery: from the end of the fault to the first mask with a later stamp and of all sensors; of a
node that ended, from its new start. memory: resident, before, and after recovery. control: masks a
frame before and after the fault; below 0.9 something else keeps the machine busy: the fault is
tried again, and where that does not help, its rates are not judged. The last column names promises
that were not kept: rate and others below 0.95, recovery above 1 s. A fault that missed nothing but
rates is watched again five times as long, for in three seconds two masks are seven percent;
faults.json keeps what was seen in the shorter time, as hasty.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from any2seg_ros.bench.faults.matrix import Fault, faults
from any2seg_ros.bench.faults.measuring import Outcome, measure, observe, table
from any2seg_ros.bench.faults.scene import Scene
from any2seg_ros.demo.process import isolate
from any2seg_ros.files import write_atomically
from any2seg_ros.interrupts import interrupted_by_any_signal

_LONGER = 5
"""How many times as long a fault is watched that missed nothing but rates."""


def run(
    chosen: Sequence[Fault],
    seconds: float,
    control: float,
    out: Path,
    tries: int = 3,
    node: Sequence[str] = (),
) -> list[Outcome]:
    """Measure these faults; the files in `out` grow with each of them.

    seconds: of each fault, five times as long where only rates were missed. control: s before and
    after. tries: of a fault whose controls say that something else keeps the machine busy. node:
    arguments.
    """
    outcomes: list[Outcome] = []
    began = time.monotonic()
    with Scene(parameters=node) as scene:
        observe(scene, 2.0)
        first = scene.process.memory_mib()
        before = observe(scene, control)
        for fault in chosen:
            for _ in range(tries):
                outcome, before = measure(scene, fault, seconds, before, control)
                if outcome.steady:
                    break
            if outcome.hasty_failure:
                seen = outcome.rate, outcome.others
                outcome, before = measure(scene, fault, _LONGER * seconds, before, control)
                outcome = replace(outcome, hasty=seen)
            outcomes.append(outcome)
            print(f"{len(outcomes):3d} {table([outcome]).splitlines()[-1]}", flush=True)
            last = scene.process.memory_mib()
            _write(out, outcomes, first, last, time.monotonic() - began)
    return outcomes


def _write(out: Path, outcomes: list[Outcome], first: float, last: float, seconds: float) -> None:
    figures = {
        "minutes": round(seconds / 60, 1),
        "memory_mib": [round(first), round(last)],
        "kept": sum(not outcome.failures() for outcome in outcomes),
        "faults": [outcome.as_dict() for outcome in outcomes],
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "faults.json", json.dumps(figures, indent=1) + "\n")
    write_atomically(out / "faults.md", table(outcomes))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every promise was kept, 1 if not."""
    options = _parser().parse_args(arguments)
    chosen = [f for f in faults() if _matches(f.name, options.only)]
    if options.list or not chosen:
        print("\n".join(f.name for f in (chosen or faults())))
        return 0 if chosen else 2
    isolate()
    node = [word for given in options.parameter or () for word in ("-p", given)]
    try:
        with interrupted_by_any_signal():
            outcomes = run(
                chosen, options.seconds, options.control, options.out, options.tries, node
            )
    except KeyboardInterrupt:
        print("stopped; what was measured is in", options.out, file=sys.stderr)
        return 130
    kept = sum(not outcome.failures() for outcome in outcomes)
    print(f"{kept} of {len(outcomes)} kept every promise; table: {options.out / 'faults.md'}")
    return int(kept < len(outcomes))


def _matches(name: str, patterns: Sequence[str] | None) -> bool:
    return not patterns or any(re.search(pattern, name) for pattern in patterns)


def _parser() -> argparse.ArgumentParser:
    plain: Any = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "any2seg_ros.bench.faults", None, __doc__, formatter_class=plain
    )
    parser.add_argument("--only", action="append", metavar="REGEX", help="repeatable")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each fault; default: 4")
    parser.add_argument("--control", type=float, default=3.0, help="s between two; default: 3")
    parser.add_argument("--tries", type=int, default=3, help="on a busy machine; default: 3")
    parser.add_argument("--out", type=Path, default=Path("faults"), help="folder; default: faults")
    parser.add_argument(
        "--parameter", action="append", metavar="NAME:=VALUE", help="of the node; repeatable"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
