"""Starts, watches and stops the node as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_START = """
import os, sys
from any2seg_ros.interrupts import end_with_parent
end_with_parent(int(sys.argv.pop(1)))
from any2seg_ros.node.segmenter import main
sys.exit(main())
"""


def isolate(domain: int | None = None) -> None:
    """Keep this process's topics off a vehicle: this host only, and a ROS domain of its own.

    domain: which, 0 to 101; None for one by the number of the process.
    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["ROS_DOMAIN_ID"] = str(10 + os.getpid() % 90 if domain is None else domain)


def resident_mib(pid: int | None = None) -> float:
    """Resident memory of a process in MiB, of this one without a number; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class NodeProcess:
    """Runs `any2seg_ros.node.segmenter` with its output in `log`, for a `with` block.

    `variables` are added to its environment. It also ends when the thread that started it does,
    however that is: a killed process leaves no node behind.
    """

    def __init__(
        self, log: Path, arguments: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self.exit_code: int | None = None
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(variables or {})}
        self._command = [sys.executable, "-c", _START, str(os.getpid()), *arguments]

    def __enter__(self) -> Self:
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def check(self) -> None:
        """ChildProcessError with the tail of the log if the process has ended."""
        if self.lives:
            return
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        raise ChildProcessError(
            f"the node exited with code {self._process.returncode}; end of {self.log}:\n{tail}"
        )

    def stop(self, patience: float = 15.0, number: int = signal.SIGINT) -> int:
        """Send SIGINT or another signal, SIGKILL after `patience` seconds; gives the exit code."""
        if self.exit_code is None:
            self._process.send_signal(number)
            try:
                self.exit_code = self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self.exit_code = self._process.wait()
        return self.exit_code

    def memory_mib(self) -> float:
        """Resident memory in MiB; 0 if it has ended."""
        return resident_mib(self.pid)

    def cpu_seconds(self) -> float:
        """CPU time used by the process so far, s."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until(self, ready: object, seconds: float, what: str) -> None:
        """Wait for `ready()`; TimeoutError names `what`, ChildProcessError if the process ends."""
        deadline = time.monotonic() + seconds
        while not ready():  # type: ignore[operator]
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what} within {seconds:.0f} s: see {self.log}")
            time.sleep(0.05)
