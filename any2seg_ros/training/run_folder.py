"""The folder of a run: what it was started with, its log, and its checkpoint."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch

from any2seg_ros.configuration import build
from any2seg_ros.files import checksum, clear_parts, replacing, write_atomically
from any2seg_ros.network.pretrained import UNREADABLE, weights_file
from any2seg_ros.training.config import TrainingConfig

FREE = (
    "output",
    "threads",
    "num_workers",
    "device",
    "cuda_graphs",
    "compile",
    "validate_every",
    "checkpoint_every",
)
"""Keys that may change when a run is resumed."""


class RunFolder:
    """run.json (configuration, revision, seed, checksums, fingerprints), metrics.jsonl (a line per
    step and per validation), board/ (the same for TensorBoard), state.pt (the checkpoint to resume
    from) and weights.safetensors.

    ValueError where the folder holds another run, or another process trains in it (`lock`).
    Only the process that is `writing` writes.
    """

    def __init__(self, config: TrainingConfig, writing: bool = True) -> None:
        self.path = Path(config.output)
        self.weights = self.path / "weights.safetensors"
        self.state_file = self.path / "state.pt"
        self._config = config
        self._writing = writing
        self._files = _checksums(config)
        self._data: dict[str, str] = {}
        self._board: Any = None
        self._first = 1
        self._lock: IO[str] | None = None
        self._check()

    def about(self) -> dict[str, Any]:
        """Configuration, revision, seed, checksums of files and fingerprints of frames."""
        return {
            "config": _plain(asdict(self._config)),
            "revision": revision(),
            "seed": self._config.seed,
            "files": self._files,
            "data": self._data,
        }

    def check_data(self, fingerprints: Mapping[str, str]) -> None:
        """Record the fingerprints of the frames; ValueError if the run was started with others."""
        self._data = dict(fingerprints)
        self._check()

    def begin(self) -> None:
        """Lock the folder, and write run.json unless it is there."""
        if not self._writing:
            return
        self._lock = self._locked()
        if not self._check():
            write_atomically(self._about_file, json.dumps(self.about(), indent=2) + "\n")

    def log(self, row: dict[str, Any]) -> None:
        """Log the numbers of row["step"], those in nested dictionaries, too."""
        if not self._writing:
            return
        try:
            with self._metrics.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise _unwritten(self._metrics, error) from None
        if self._board is None:
            self._board = _board(self.path / "board", self._first)
        if not self._board:
            return
        for name, value in row.items():
            if isinstance(value, (int, float)) and name != "step":
                self._board.add_scalar(name, value, row["step"])
            elif isinstance(value, dict):
                for part, number in value.items():
                    self._board.add_scalar(f"{name}/{part}", number, row["step"])

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint; OSError, and the last one stays, where there is no space."""
        if not self._writing:
            return
        try:
            with replacing(self.state_file) as part, part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch's own, of a write that was cut
            raise _unwritten(self.state_file, error) from None

    def state(self, device: torch.device) -> dict[str, Any] | None:
        """The last checkpoint; None where there is none yet."""
        if not self.state_file.is_file():
            return None
        try:
            return torch.load(self.state_file, map_location=device, weights_only=True)
        except UNREADABLE as error:
            raise ValueError(
                f"{self.state_file} is damaged: delete {self.path} to start over ({error})"
            ) from None

    def go_on_from(self, step: int) -> None:
        """Remove what an interrupted run left behind after its last checkpoint."""
        if not self._writing:
            return
        self._first = step + 1
        clear_parts(self.state_file)
        clear_parts(self.weights)
        if self._metrics.is_file():
            write_atomically(self._metrics, "".join(_lines_until(self._metrics, step)))

    @property
    def _about_file(self) -> Path:
        return self.path / "run.json"

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def _locked(self) -> IO[str]:
        """The folder's lock, ours until this process ends; its workers do not inherit it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("w")
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            lock.close()
            raise ValueError(
                f"another process trains in {self.path}: wait for it, or give another output"
            ) from None
        except OSError:  # a file system without locks
            pass
        return lock

    def _check(self) -> bool:
        """Whether the folder holds this run; ValueError if it holds another."""
        path = self._about_file
        if not path.is_file():
            return False
        try:
            # Keys that are newer than the run have their defaults.
            about = json.loads(path.read_text())
            theirs = asdict(build(TrainingConfig, about["config"]))
            files = dict(about.get("files", {}))
            data = dict(about.get("data", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a run of this version ({error}): give another output, or delete "
                "the folder to start over"
            ) from None
        mine = asdict(self._config)
        changed = [k for k in mine if k not in FREE and mine[k] != theirs[k]]
        if changed:
            raise ValueError(
                f"{self.path} holds a run with another '{changed[0]}': give another output, "
                "or delete the folder to start over"
            )
        others = [name for name in files if files[name] != self._files.get(name)]
        if others:
            raise ValueError(
                f"{others[0]} has changed since {self.path} was started with it: put it back, or "
                "delete the folder to start over"
            )
        moved = [
            name for name in self._data if data.get(name, self._data[name]) != self._data[name]
        ]
        if moved:
            raise ValueError(
                f"the frames of {moved[0]} have changed since {self.path} was started: put them "
                "back, or delete the folder to start over; if they are only a copy, remove 'data' "
                f"from {path}"
            )
        self._files = files
        return True


def _unwritten(path: Path, error: Exception) -> OSError:
    why = str(error).partition("\n")[0]
    return OSError(
        f"{path} cannot be written ({why}): make space and give the same command again, it resumes "
        "from the last checkpoint"
    )


def revision() -> str:
    """The git revision of the source tree, or `unknown`."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def _board(folder: Path, first: int) -> Any:
    """TensorBoard's writer, which drops the step `first` and later; False where not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return False
    return SummaryWriter(str(folder), purge_step=first)


def _checksums(config: TrainingConfig) -> dict[str, str]:
    """The SHA-256 of every file of weights or captions that a run starts from, by its name."""
    paths = [weights_file(path) for path in config.files().values()]
    return {str(path): checksum(path) for path in paths if path.is_file()}


def _plain(value: Any) -> Any:
    """What JSON makes of it: tuples are lists."""
    return json.loads(json.dumps(value))


def _lines_until(path: Path, step: int) -> Iterator[str]:
    """Lines of metrics up to a step, without an incomplete one."""
    for line in path.read_text().splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                yield line
        except (ValueError, KeyError, TypeError):
            continue
