"""Checks this machine for what the node needs, and names the command that fixes what is missing."""

from __future__ import annotations

import json
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

from any2seg_ros.resources import DEFAULT_WEIGHTS, SHIPPED_WEIGHTS, find

SET_UP = "make setup"
WEIGHTS = {name: f"models/any2seg_{name}.safetensors" for name in SHIPPED_WEIGHTS}
OWN_MESSAGES = "any2seg_ros"
MESSAGES = ("sensor_msgs", "diagnostic_msgs", "lifecycle_msgs", "tf2_msgs", "vision_msgs")
EVENT_MESSAGES = ("event_camera_msgs", "dvs_msgs", "prophesee_event_msgs")
ROS_PYTHON = ("message_filters", "sensor_msgs_py", "cv_bridge", "tf2_ros", "diagnostic_updater")
ENGINES = ("torch", "openvino", "onnxruntime")


class Grade(Enum):
    """The severity of a finding."""

    GOOD = "green"
    NOTE = "yellow"
    """The node runs, with limitations."""
    FATAL = "red"
    """The node cannot run."""


@dataclass(frozen=True)
class Finding:
    """One check: what was found, how severe it is, and how to fix it."""

    topic: str
    text: str
    grade: Grade = Grade.GOOD
    fix: str = ""


def run() -> int:
    """Print all findings; returns 1 if the node cannot run here, else 0."""
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
        fix = f"\n[bold]fix:[/] {escape(finding.fix)}" if finding.fix else ""
        table.add_row(mark, finding.topic, escape(finding.text) + fix)
    console = Console()
    console.print(table)
    blockers = [finding.topic for finding in findings if finding.grade is Grade.FATAL]
    if blockers:
        console.print(f"\n[red]The node cannot run here:[/] {', '.join(blockers)}")
    else:
        console.print("\n[green]The node can run here.[/]")
    return 1 if blockers else 0


def examine() -> list[Finding]:
    """All findings, in the order of a start-up."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _machine,
        _python,
        _ros,
        _messages,
        _stand_ins,
        _engines,
        _accelerator,
        _weights,
    )
    return [finding for check in checks for finding in check()]


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
    fix = "" if fits else "sudo apt install python3.12 python3.12-venv && make setup"
    yield Finding("python", text, Grade.GOOD if fits else Grade.FATAL, fix)


def _ros() -> Iterator[Finding]:
    if not _importable("rclpy"):
        fix = f"source /opt/ros/<distribution>/setup.bash, or {SET_UP}"
        yield Finding("ros", "no rclpy", Grade.FATAL, fix)
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
        yield Finding("messages", text, Grade.FATAL, _fix_for_packages(absent))
    else:
        yield Finding("messages", ", ".join((OWN_MESSAGES, *found)))
    events = [name for name in EVENT_MESSAGES if _importable(f"{name}.msg")]
    rest = [name for name in EVENT_MESSAGES if name not in events]
    text = ", ".join(events) or "none: event cameras work only as images"
    fix = _fix_for_packages(rest) if not events else ""
    yield Finding("event messages", text, Grade.GOOD if events else Grade.NOTE, fix)


def _stand_ins() -> Iterator[Finding]:
    absent = [name for name in ROS_PYTHON if not _importable(name)]
    if absent:
        fix = _fix_for_packages(absent)
        yield Finding("ros packages", f"absent: {', '.join(absent)}", Grade.FATAL, fix)
    else:
        yield Finding("ros packages", ", ".join(ROS_PYTHON))
    names = (*MESSAGES, *EVENT_MESSAGES, *ROS_PYTHON)
    used = [name for name in names if is_stand_in(name)]
    if used:
        yield Finding("stand-ins", f"{', '.join(used)} (used because the real packages are absent)")
    if not _importable("launch_ros"):  # `launch` itself could be the repository's own folder
        yield Finding(
            "launch",
            "absent: start the node with `segmenter --ros-args --params-file ...`",
            Grade.NOTE,
            "sudo apt install ros-<distribution>-ros2launch, on a machine with ROS 2",
        )


def is_stand_in(name: str) -> bool:
    """Whether an import of this package gives our stand-in instead of the real one."""
    if (Path(sys.prefix) / "share" / name / "STAND_IN").exists():
        return True
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    origin = Path(spec.origin).resolve() if spec and spec.origin else Path()
    return "stand_ins" in origin.parts


def _fix_for_packages(names: list[str]) -> str:
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
        elif name == "torch" and _version("openvino"):
            text = "absent: only networks whose graphs are on disk can run"
            yield Finding(name, text, Grade.NOTE, SET_UP)
        elif name == "torch":
            yield Finding(name, "absent: the network cannot run", Grade.FATAL, SET_UP)
        else:
            fix = f"{sys.executable} -m pip install {name}"
            yield Finding(name, "absent", Grade.NOTE, fix)


def _accelerator() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError):
        return
    if torch.cuda.is_available():
        yield Finding("accelerator", torch.cuda.get_device_name(0))
    elif Path("/proc/driver/nvidia").exists():
        text = f"NVIDIA GPU found, but torch {torch.__version__} cannot use it"
        fix = f"{sys.executable} -m pip install --force-reinstall torch --index-url "
        fix += "https://download.pytorch.org/whl/cu128"
        yield Finding("accelerator", text, Grade.NOTE, fix)
    else:
        yield Finding("accelerator", "none: the network runs on the CPU")


def _weights() -> Iterator[Finding]:
    for name, file in WEIGHTS.items():
        default = name == DEFAULT_WEIGHTS
        try:
            path = find(file)
        except FileNotFoundError:
            if default:
                fix = f"git checkout -- {file}, or give the node model:=/a/file.safetensors"
                yield Finding("weights", f"{file} is missing", Grade.FATAL, fix)
            continue
        trouble = weights_trouble(path)
        if trouble:
            yield Finding("weights", f"{path}: {trouble}", Grade.FATAL, f"git checkout -- {file}")
            continue
        size, terms = path.stat().st_size / 1e6, weights_terms(path)
        runs = ", runs by default" if default else f", runs with model:={name}"
        yield Finding("weights", f"{path} ({size:.1f} MB{runs}){f': {terms}' if terms else ''}")
        if default:
            yield from _graphs(path)


def weights_terms(path: Path) -> str:
    """What a readable weights file says that it may be used for; empty if nothing."""
    from safetensors import safe_open

    with safe_open(path, "np") as tensors:
        training = json.loads((tensors.metadata() or {}).get("training", "{}"))
    return str(training.get("config", {}).get("terms", ""))


def _graphs(weights: Path) -> Iterator[Finding]:
    """Whether the node starts without torch; nothing where OpenVINO is not there."""
    try:
        from any2seg_ros.engine.graph_cache import GraphCache
        from any2seg_ros.engine.sources import NetworkSource
    except ImportError:
        return
    try:
        found = GraphCache(NetworkSource.of_checkpoint(weights)).on_disk()
    except ValueError as error:
        fix = "give the weights of this version, or any2seg_ros of the weights'"
        yield Finding("graphs", str(error), Grade.FATAL, fix)
        return
    if found:
        yield Finding("graphs", f"{len(found)} in {found[0].parent}")
    else:
        fix = f"any2seg export {weights} --format graphs"
        text = "none on disk: the first start converts the network with torch"
        yield Finding("graphs", text, Grade.NOTE, fix)


def weights_trouble(path: Path) -> str:
    """What is wrong with a weights file; empty if nothing is."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        return "safetensors is absent"
    try:
        with safe_open(path, "np") as tensors:
            return "" if list(tensors.keys()) else "contains no tensors"
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
