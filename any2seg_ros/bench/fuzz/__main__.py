"""Feed mutated messages and files to the code that reads them, and report what must not happen.

Messages go through the node's intake and preparation, as far as the network; files through what the
commands read. Found is: an exception that is not the documented one (or a reason that begins with
"cannot be read": then one was caught that nobody had thought of), a warning of NumPy, more than
0.2 s of processor time, and more than 200 MiB at once. Inputs are made of the seed and their number
alone, so every finding can be made again; a run goes on where the last one in --out ended.

  python -m any2seg_ros.bench.fuzz --messages 1000000           messages, more each time
  python -m any2seg_ros.bench.fuzz --messages 0 --files 2000    files of every kind
  python -m any2seg_ros.bench.fuzz --only weights --files 5000
  python -m any2seg_ros.bench.fuzz --again messages 46          one block again, findings in full
  python -m any2seg_ros.bench.fuzz --coverage 600               s of atheris, after new paths
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from any2seg_ros.bench.fuzz.files import file_targets
from any2seg_ros.bench.fuzz.messages import MessageTarget
from any2seg_ros.bench.fuzz.mutation import Rng
from any2seg_ros.bench.fuzz.watching import Finding, Watch
from any2seg_ros.files import write_atomically

SAVE_EVERY_S = 10.0


class Target(Protocol):
    """What is fed, in blocks of `size` inputs."""

    name: str
    size: int

    def run(self, rng: Rng, block: int, watch: Watch, found: Callable[[Finding], None]) -> None:
        """Feed one block."""


class Campaign:
    """Counts inputs and findings over runs; both are files in a folder.

    seed: None is that of the folder, or 0. ValueError for another than the folder has.
    """

    def __init__(self, out: Path, seed: int | None = None) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._state, self._list = out / "state.json", out / "findings.jsonl"
        self.watch = Watch()
        kept = json.loads(self._state.read_text()) if self._state.exists() else {}
        self.seed: int = kept.get("seed", seed or 0)
        if seed not in (None, self.seed):
            raise ValueError(f"{out} was begun with seed {self.seed}: choose another --out")
        self.blocks: Counter[str] = Counter(kept.get("blocks", {}))
        """Blocks done of each target."""
        self.inputs: Counter[str] = Counter(kept.get("inputs", {}))
        self.groups: Counter[str] = Counter(kept.get("findings", {}))
        """Findings by their cause."""
        self._saved = time.monotonic()

    def run(self, target: Target, count: int) -> None:
        """Feed so many more inputs."""
        for _ in range(-(-count // target.size)):
            for finding in self.block(target, self.blocks[target.name]):
                self._keep(finding)
            self.blocks[target.name] += 1
            self.inputs[target.name] += target.size
            if time.monotonic() - self._saved > SAVE_EVERY_S:
                self.save()
        self.save()

    def block(self, target: Target, number: int) -> list[Finding]:
        """What is found in one block; slow inputs only where they are slow twice."""
        found = self._block(target, number)
        if all(finding.kind not in ("slow", "memory") for finding in found):
            return found
        # The first time compiles loops and fills caches.
        again = {(f.index, f.kind) for f in self._block(target, number)}
        return [f for f in found if f.kind not in ("slow", "memory") or (f.index, f.kind) in again]

    def save(self) -> None:
        """Write what has been done."""
        self._saved = time.monotonic()
        content = {
            "seed": self.seed,
            "inputs": self.inputs,
            "blocks": self.blocks,
            "findings": self.groups,
            "slowest_s": round(self.watch.slowest, 3),
        }
        write_atomically(self._state, json.dumps(content, indent=1) + "\n")

    def _block(self, target: Target, number: int) -> list[Finding]:
        found: list[Finding] = []
        rng = np.random.default_rng([self.seed, number, *target.name.encode()])

        def large(text: str) -> None:
            found.append(Finding(target.name, number, -1, "memory", text))

        with self.watch.bounded(large):
            target.run(rng, number, self.watch, found.append)
        return found

    def _keep(self, finding: Finding) -> None:
        self.groups[finding.group] += 1
        if self.groups[finding.group] > 5:  # the rest is counted
            return
        with self._list.open("a") as file:
            file.write(json.dumps(asdict(finding)) + "\n")
        print(f"{finding.kind}: {finding.target} {finding.block} {finding.what}", flush=True)


def targets(only: Sequence[str] | None = None) -> list[tuple[Target, bool]]:
    """All targets, or those that are named, and whether they are messages.

    ValueError for a name that none has.
    """
    everything: list[tuple[Any, bool]] = [(MessageTarget(), True)]
    everything += [(target, False) for target in file_targets()]
    names = [target.name for target, _ in everything]
    for name in only or ():
        if name not in names:
            raise ValueError(f"there is no target '{name}': {', '.join(names)}")
    return [one for one in everything if not only or one[0].name in only]


@contextmanager
def quiet() -> Iterator[None]:
    """What libjpeg, libpng and others print of each input goes nowhere; Python's own stays."""
    sys.stderr.flush()
    kept = os.dup(2)
    before, sys.stderr = sys.stderr, os.fdopen(os.dup(2), "w", buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        sys.stderr.close()
        sys.stderr = before
        os.close(null)
        os.close(kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing was found, 1 if something was, 2 for arguments that cannot be."""
    options = _parser().parse_args(arguments)
    if options.coverage:
        from any2seg_ros.bench.fuzz.coverage import explore

        return explore(options.coverage, options.out, options.seed or 0)
    try:
        chosen = targets(options.again[:1] if options.again else options.only)
        campaign = Campaign(options.out, options.seed)
        block = _block_number(options.again[1]) if options.again else 0
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        with quiet():
            if options.again:
                return _again(campaign, chosen[0][0], block)
            for target, are_messages in chosen:
                campaign.run(target, options.messages if are_messages else options.files)
    except KeyboardInterrupt:
        campaign.save()
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    for name, count in campaign.inputs.items():
        print(f"{count:9d} {name}")
    print(f"{len(campaign.groups)} kinds of findings; {campaign.watch.slowest:.3f} s at most")
    return int(bool(campaign.groups))


def _block_number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"BLOCK is a whole number from 0, not '{text}'")
    return int(text)


def _again(campaign: Campaign, target: Target, number: int) -> int:
    found = campaign.block(target, number)
    print("\n".join(f"{f.index}: {f.kind}: {f.what}" for f in found) or "nothing")
    return int(bool(found))


def _parser() -> argparse.ArgumentParser:
    plain: Any = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("any2seg_ros.bench.fuzz", None, __doc__, formatter_class=plain)
    parser.add_argument("--messages", type=int, default=10_000, help="inputs; default: 10 000")
    parser.add_argument("--files", type=int, default=200, help="of each kind; default: 200")
    names = ", ".join(target.name for target, _ in targets())
    parser.add_argument("--only", action="append", metavar="TARGET", help=f"one of: {names}")
    parser.add_argument("--seed", type=int, help="default: the one in --out, or 0")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder; default: fuzz")
    parser.add_argument("--again", nargs=2, metavar=("TARGET", "BLOCK"))
    parser.add_argument("--coverage", type=float, default=0.0, metavar="SECONDS")
    return parser


if __name__ == "__main__":
    sys.exit(main())
