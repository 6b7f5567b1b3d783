"""What must not happen while an input is read, and how it is noticed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from any2seg_ros.demo.process import resident_mib
from any2seg_ros.types import InvalidMeasurement

SLOW_S = 0.2
"""Processor time of one input."""
LARGE_MIB = 200.0
"""Memory on top of what was there before."""
DOCUMENTED = (ValueError, OSError, InvalidMeasurement)
"""What readers of files and messages may raise: commands print it as one line."""
BROKEN = ("cannot be read: ", "cannot be used: ", "camera_info cannot be read: ")
"""Begin reasons that an exception was caught which nobody had thought of."""
_LONGEST_LINE = 1000


@dataclass(frozen=True)
class Finding:
    """Something that must not happen. target, block, index: what it was found with."""

    target: str
    block: int
    index: int
    kind: str
    """exception, warning, slow or memory."""
    what: str

    @property
    def group(self) -> str:
        """Findings of one cause, about: its kind, and its text without figures."""
        text = "".join("#" if c.isdigit() else c for c in self.what)
        return f"{self.target} {self.kind} {text[:120]}"


def unexpected(
    error: BaseException, documented: tuple[type[BaseException], ...] = DOCUMENTED
) -> str:
    """What is wrong with an exception; empty if it is a documented one of one line."""
    text = str(error)
    if isinstance(error, documented):
        bad = "\n" in text or len(text) > _LONGEST_LINE or not text
        return f"not one line: {type(error).__name__}: {text[:300]!r}" if bad else ""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__}: {text[:300]} ({where})"


class Watch:
    """Measures inputs one by one: processor time of this process, and the peak of its memory."""

    def __init__(self) -> None:
        self.slowest = 0.0
        self._rewinds = True

    @contextmanager
    def timed(self, tell: Callable[[str], None], most: float = SLOW_S) -> Iterator[None]:
        """`tell` is called with a text if the block used more than `most` s of processor time."""
        began = time.process_time()
        try:
            yield
        finally:
            used = time.process_time() - began
            self.slowest = max(self.slowest, used)
            if used > most:
                tell(f"{used:.2f} s of processor time")

    @contextmanager
    def bounded(self, tell: Callable[[str], None]) -> Iterator[None]:
        """`tell` is called with a text if the block used too much memory at any moment."""
        self._rewind()
        before = resident_mib()
        try:
            yield
        finally:
            most = _peak_mib() - before
            if self._rewinds and most > LARGE_MIB:
                tell(f"{most:.0f} MiB at once")

    def _rewind(self) -> None:
        """Let the kernel forget the peak so far (proc(5), clear_refs)."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:  # not everywhere: then memory is not watched
            self._rewinds = False


def _peak_mib() -> float:
    """The most that was resident of this process since the last rewind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
