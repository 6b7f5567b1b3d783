"""Bytes of messages that atheris changes so that they reach code which none reached before.

`pip install atheris` (Linux, CPython 3.11 to 3.13). Started by `any2seg_ros.bench.fuzz --coverage`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

HINT = "coverage guidance needs atheris: pip install atheris"
_ROOMS = ["any2seg_ros.messages", "any2seg_ros.preprocessing", "any2seg_ros.runtime"]
_START = 5_000_000_000_000
LONGEST = 4096
"""Bytes of an input."""


def explore(seconds: float, out: Path, seed: int = 0) -> int:
    """Look for new paths for so long, in a process of its own; its exit code, 0 without a finding.

    The inputs that reached new code are in out/corpus, what must not happen in out/crash-*.
    """
    if importlib.util.find_spec("atheris") is None:
        print(HINT, file=sys.stderr)
        return 2
    corpus = out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={round(seconds)}", f"-seed={seed + 1}", f"-max_len={LONGEST}"]
    options += [
        f"-artifact_prefix={out}/",
        "-timeout=5",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", __name__, str(corpus), *options]
    # Compiled loops cannot be looked into.
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    return subprocess.run(command, check=False, env=environment).returncode


def seeds(folder: Path) -> None:
    """One input of each kind of message."""
    from any2seg_ros.bench.fuzz import samples

    for number, (_, _, make) in enumerate(samples.samples()):
        message = make(_START)
        field = "events" if hasattr(message, "events") else "data"
        if not isinstance(getattr(message, field), list):
            content = bytes([number]) + bytes(getattr(message, field))[: LONGEST - 1]
            (folder / f"sample_{number}").write_bytes(content)


def feed(data: bytes) -> list[str]:
    """Reasons that must not be given for a message of these bytes, whose first is its kind."""
    from any2seg_ros.bench.fuzz import samples
    from any2seg_ros.bench.fuzz.messages import Receiver
    from any2seg_ros.bench.fuzz.watching import BROKEN
    from any2seg_ros.messages import as_bytes, from_array

    kinds = samples.samples()
    if not data:
        return []
    _, modality, make = kinds[data[0] % len(kinds)]
    receiver = Receiver()
    message = make(receiver.now)
    field = "events" if hasattr(message, "events") else "data"
    if not isinstance(getattr(message, field), list):
        setattr(message, field, from_array(as_bytes(data[1:])))
    receiver.on_message(modality, message)
    return [r for r in receiver.said if r.startswith(BROKEN)]


def main() -> None:
    """The process that atheris runs in; its arguments are libFuzzer's."""
    import atheris

    with atheris.instrument_imports(include=_ROOMS):
        from any2seg_ros.bench.fuzz import messages  # noqa: F401

    def one(data: bytes) -> None:
        found = feed(data)
        if found:
            raise RuntimeError(found[0])

    seeds(Path(sys.argv[1]))
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
