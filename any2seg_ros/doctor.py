"""What was found on this machine, and for each thing that is missing the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from any2seg_ros.resources import find

SET_UP = "make setup"
WEIGHTS = "models/any2seg_streets.safetensors"
OWN_MESSAGES = "any2seg_ros"
MESSAGES = ("sensor_msgs", "diagnostic_msgs", "lifecycle_msgs", "tf2_msgs", "vision_msgs")
EVENT_MESSAGES = ("event_camera_msgs", "dvs_msgs", "prophesee_event_msgs")
ROS_PYTHON = ("message_filters", "sensor_msgs_py", "cv_bridge", "tf2_ros", "diagnostic_updater")
ENGINES = ("torch", "openvino", "onnxruntime")


class Grade(Enum):
    """How a finding matters."""

    GOOD = "green"
    NOTE = "yellow"
    """Works, with less; or worth knowing."""
    FATAL = "red"
    """The node cannot run."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for: what was found, how that matters, and the mend."""

    topic: str
    text: str
    grade: Grade = Grade.GOOD
    mend: str = ""


def run() -> int:
    """Print all findings; 1 if the node cannot run on this machine, else 0."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    findings = examine()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    marks = {Grade.GOOD: "ok", Grade.NOTE: "note", Grade.FATAL: "missing"}
    for finding in findings:
        mark = f"[{finding.grade.value}]{marks[finding.grade]}[/]"
        mend = f"\n[bold]mend:[/] {escape(finding.mend)}" if finding.mend else ""
        table.add_row(mark, finding.topic, escape(finding.text) + mend)
    console = Console()
    console.print(table)
    blockers = [finding.topic for finding in findings if finding.grade is Grade.FATAL]
    if blockers:
        console.print(f"\n[red]The node cannot run here:[/] {', '.join(blockers)}")
    else:
        console.print("\n[green]The node can run here.[/]")
    return 1 if blockers else 0


def examine() -> list[Finding]:
    """Everything that is looked for, in the order of a start-up."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _machine,
        _python,
        _ros,
        _messages,
        _stand_ins,
        _engines,
        _accelerator,
        _weights,
    )
    return [finding for look in looks for finding in look()]


def _machine() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(".").free / 2**30
    text = f"{cores} cores, {memory:.0f} GiB of memory, {free:.0f} GiB of disk free"
    few = cores < 2 or memory < 3.5
    yield Finding("machine", text, Grade.NOTE if few else Grade.GOOD)


def _python() -> Iterator[Finding]:
    text = f"{platform.python_version()} at {sys.executable}"
    fits = sys.version_info[:2] >= (3, 10)
    mend = "" if fits else "sudo apt install python3.12 python3.12-venv && make setup"
    yield Finding("python", text, Grade.GOOD if fits else Grade.FATAL, mend)


def _ros() -> Iterator[Finding]:
    if not _importable("rclpy"):
        mend = f"source /opt/ros/<distribution>/setup.bash, or {SET_UP}"
        yield Finding("ros", "no rclpy", Grade.FATAL, mend)
        return
    wheels = _version("ros-kilted-rclpy") or _version("ros-rclpy")
    if wheels:
        yield Finding("ros", f"Kilted from PyPI (rclpy {wheels})")
    else:
        yield Finding("ros", f"{os.environ.get('ROS_DISTRO', 'a distribution')}, sourced")
    yield _middleware()


def _middleware() -> Finding:
    try:
        from rclpy.utilities import get_rmw_implementation_identifier

        return Finding("middleware", get_rmw_implementation_identifier())
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("middleware", f"rclpy does not load: {error}", Grade.FATAL, SET_UP)


def _messages() -> Iterator[Finding]:
    found = [name for name in MESSAGES if _importable(f"{name}.msg")]
    own = _importable(f"{OWN_MESSAGES}.msg")
    absent = [name for name in MESSAGES if name not in found] + [OWN_MESSAGES] * (not own)
    if absent:
        text = f"absent: {', '.join(absent)}"
        yield Finding("messages", text, Grade.FATAL, _mend_of_packages(absent))
    else:
        yield Finding("messages", ", ".join((OWN_MESSAGES, *found)))
    events = [name for name in EVENT_MESSAGES if _importable(f"{name}.msg")]
    rest = [name for name in EVENT_MESSAGES if name not in events]
    text = ", ".join(events) or "none: event cameras only as images"
    mend = _mend_of_packages(rest) if not events else ""
    yield Finding("event messages", text, Grade.GOOD if events else Grade.NOTE, mend)


def _stand_ins() -> Iterator[Finding]:
    absent = [name for name in ROS_PYTHON if not _importable(name)]
    if absent:
        mend = _mend_of_packages(absent)
        yield Finding("ros packages", f"absent: {', '.join(absent)}", Grade.FATAL, mend)
    else:
        yield Finding("ros packages", ", ".join(ROS_PYTHON))
    names = (*MESSAGES, *EVENT_MESSAGES, *ROS_PYTHON)
    used = [name for name in names if is_stand_in(name)]
    if used:
        yield Finding("stand-ins", f"{', '.join(used)} (real ones are used where ROS has them)")
    if not _importable("launch_ros"):  # the repository's own folder `launch` can be imported
        yield Finding(
            "launch",
            "absent: no `ros2 launch`; `segmenter --ros-args --params-file ...` starts the node",
            Grade.NOTE,
            "sudo apt install ros-<distribution>-ros2launch, on a machine with ROS 2",
        )


def is_stand_in(name: str) -> bool:
    """Whether the package that would be imported is one that set-up made in place of the real."""
    if (Path(sys.prefix) / "share" / name / "STAND_IN").exists():
        return True
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    origin = Path(spec.origin).resolve() if spec and spec.origin else Path()
    return "stand_ins" in origin.parts


def _mend_of_packages(names: list[str]) -> str:
    distribution = os.environ.get("ROS_DISTRO")
    others = [name for name in names if name != OWN_MESSAGES]
    if distribution and others and not _version("ros-kilted-rclpy"):
        debs = " ".join(f"ros-{distribution}-{name.replace('_', '-')}" for name in others)
        return f"sudo apt install {debs}, or {SET_UP}"
    return SET_UP


def _engines() -> Iterator[Finding]:
    for name in ENGINES:
        version = _version(name)
        if version:
            yield Finding(name, version)
        elif name == "torch":
            yield Finding(name, "absent: nothing can be segmented", Grade.FATAL, SET_UP)
        else:
            mend = f"{sys.executable} -m pip install {name}"
            yield Finding(name, "absent", Grade.NOTE, mend)


def _accelerator() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError):
        return
    if torch.cuda.is_available():
        yield Finding("accelerator", torch.cuda.get_device_name(0))
    elif Path("/proc/driver/nvidia").exists():
        text = f"an NVIDIA GPU is here, but torch {torch.__version__} cannot use it"
        mend = f"{sys.executable} -m pip install --force-reinstall torch --index-url "
        mend += "https://download.pytorch.org/whl/cu128"
        yield Finding("accelerator", text, Grade.NOTE, mend)
    else:
        yield Finding("accelerator", "none: the CPU segments")


def _weights() -> Iterator[Finding]:
    try:
        path = find(WEIGHTS)
    except FileNotFoundError:
        mend = f"git checkout -- {WEIGHTS}, or give the node model:=/path/to/weights.safetensors"
        yield Finding("weights", f"{WEIGHTS} is absent", Grade.FATAL, mend)
        return
    trouble = weights_trouble(path)
    if trouble:
        yield Finding("weights", f"{path}: {trouble}", Grade.FATAL, f"git checkout -- {WEIGHTS}")
    else:
        yield Finding("weights", f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def weights_trouble(path: Path) -> str:
    """Why the file cannot be the weights of a network; empty if it can."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        return "safetensors is absent"
    try:
        with safe_open(path, "np") as tensors:
            return "" if list(tensors.keys()) else "no tensors in it"
    except (SafetensorError, OSError) as error:
        return str(error)


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
