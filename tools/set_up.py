"""Sets up .venv: Python packages, ROS 2 if none is sourced, messages and commands.

Run by `make` with a bare Python 3.10 or later. Each step leaves a stamp with the digest of its
inputs: a step with a current stamp is skipped, an interrupted one is repeated. Prints the time and
disk space of each step.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"
FROM_PYPI = TOOLS / "ros_from_pypi"
COMMAND = """#!{python}
import sys

from {module} import main

if __name__ == "__main__":  # worker processes import this file
    sys.exit(main())
"""
TOO_OLD = ("foxy", "galactic", "humble", "iron")
STAND_INS = FROM_PYPI / "stand_ins"
MESSAGE_STAND_INS = STAND_INS / "messages"
BASE = ("requirements.txt", "requirements-engines.txt", "requirements-simulation.txt")
FOR_TESTS = (
    "requirements-training.txt",
    "requirements-teachers.txt",
    "requirements-video.txt",
    "requirements-test.txt",
)


GRAPHS = (
    ("models/any2seg_real.safetensors", "0x0"),
    ("models/any2seg_streets.safetensors", "224x128"),
)
"""Weights and the size of the images that graphs are made for: what runs by default, at the size of
its training, and what runs with config/demo.yaml."""


class Failed(Exception):
    """A step failed; the text says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Paths in the virtual environment."""

    venv: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def notes(self) -> Path:
        return self.venv / ".any2seg"

    @property
    def site_packages(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.venv / "lib" / version / "site-packages"


@dataclass(frozen=True)
class Step:
    """One step, and the inputs that decide whether it must be repeated.

    `around`: what is sourced now; if it changes, this step alone is repeated.
    """

    name: str
    text: str
    work: Callable[[Place], None]
    inputs: tuple[Path, ...] = ()
    words: tuple[str, ...] = ()
    around: tuple[str, ...] = ()

    def digest(self, before: str) -> str:
        """Digest of the inputs and of the step before: a new environment needs all steps."""
        total = hashlib.sha256("\n".join((before, self.name, *self.words)).encode())
        for path in _files(self.inputs):
            total.update(path.relative_to(ROOT).as_posix().encode())
            total.update(path.read_bytes())
        return total.hexdigest()

    def mark(self, digest: str) -> str:
        """What its stamp says."""
        return " ".join((digest, *self.around))


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (p for p in inside if p.is_file() and "__pycache__" not in p.parts)


def steps(tests: bool) -> list[Step]:
    """The steps in order; `tests` adds what only the tests need."""
    ros = os.environ.get("ROS_DISTRO", "")
    lists = tuple(ROOT / name for name in BASE)
    constraints = ROOT / "constraints.txt"
    plan = [
        Step("venv", f"a virtual environment in {_shown(venv_folder())}", make_venv, (), _ground()),
        Step(
            "packages",
            "Python packages: torch, OpenCV, OpenVINO, ... (about 1.4 GB)",
            lambda place: install(place, lists),
            (*lists, constraints),
        ),
    ]
    if ros:
        plan.append(Step("colcon", f"colcon, to build on ROS 2 {ros}", install_colcon))
    else:
        wheels = FROM_PYPI / "requirements.txt"
        plan.append(
            Step(
                "ros",
                "ROS 2 Kilted from PyPI (about 120 MB)",
                lambda place: install_ros(place, wheels),
                (wheels, constraints, FROM_PYPI / "rewrite_cmake_paths.py"),
            )
        )
    messages = tuple(ROOT / name for name in ("msg", "CMakeLists.txt", "package.xml"))
    builder = FROM_PYPI / "build_messages.py"
    plan.append(
        Step(
            "messages",
            "ROS messages, and stand-ins for absent packages (compiles for a minute)",
            build_messages,
            (*messages, builder, FROM_PYPI / "ros_environment.py", MESSAGE_STAND_INS),
            around=sourced_packages(),
        )
    )
    plan.append(
        Step(
            "commands",
            "the commands any2seg and segmenter",
            write_commands,
            words=(str(ROOT), COMMAND),
        )
    )
    plan.append(
        Step(
            "graphs",
            "the network's graphs and compiled loops, so that the node starts at once",
            make_graphs,
            tuple(ROOT / "any2seg_ros" / name for name in ("engine", "network", "preprocessing"))
            + tuple(ROOT / name for name, _ in GRAPHS),
            tuple(size for _, size in GRAPHS),
        )
    )
    if tests:
        more = tuple(ROOT / name for name in FOR_TESTS)
        plan.append(
            Step(
                "tests",
                "packages for the tests: pytest, transformers, ... (about 600 MB)",
                lambda place: install(place, more),
                (*more, constraints),
            )
        )
    return plan


def venv_folder() -> Path:
    """The environment's folder: $VENV, or .venv in the repository."""
    return Path(os.environ.get("VENV") or ROOT / ".venv").resolve()


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _ground() -> tuple[str, ...]:
    """What the environment depends on: it is made anew when any of this changes."""
    # Not AMENT_PREFIX_PATH: every workspace that is sourced changes it.
    return (sys.version, str(ROOT), os.environ.get("ROS_DISTRO", ""))


def sourced_packages() -> tuple[str, ...]:
    """The packages that have stand-ins and are sourced now, which need none then."""
    if not os.environ.get("ROS_DISTRO"):
        return ()
    own = venv_folder()
    places = [Path(word) for word in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    shares = [place / "share" for place in places if place.name and place.resolve() != own]
    stand_ins = {path.parent.name for path in STAND_INS.glob("*/*/package.xml")}
    stand_ins |= {path.parent.name for path in STAND_INS.glob("python/*/__init__.py")}
    found = [n for n in stand_ins if any((share / n / "package.xml").is_file() for share in shares)]
    return tuple(sorted(found))


def make_venv(place: Place) -> None:
    """Create the virtual environment; a working one without a stamp is kept."""
    stamp = place.notes / "venv"
    works = _works(place)
    if works and not stamp.exists():
        print("      .venv exists and works: kept", flush=True)
        return
    command = [sys.executable, "-m", "venv", "--clear", str(place.venv)]
    if os.environ.get("ROS_DISTRO"):
        command.insert(-1, "--system-site-packages")
    run(command, place, "venv")


def _works(place: Place) -> bool:
    if not place.python.exists():
        return False
    code = "import pip, sys; print(sys.version)"
    found = subprocess.run(
        [place.python, "-c", code], capture_output=True, text=True, env=environment(place)
    )
    return found.returncode == 0 and found.stdout.strip() == sys.version.strip()


def install(place: Place, lists: tuple[Path, ...]) -> None:
    """pip install requirements files; remove half-installed packages first."""
    for leftover in place.site_packages.glob("~*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for record in place.site_packages.glob("*.dist-info"):
        # pip writes RECORD last: without it the package is incomplete.
        if not (record / "RECORD").exists():
            shutil.rmtree(record)
    command = [place.python, "-m", "pip", "install", "-c", ROOT / "constraints.txt"]
    for path in lists:
        command += ["-r", path]
    if os.environ.get("ROS_DISTRO"):
        command = _beside_ros(place, command, lists)
    run(command, place, "pip")


def _beside_ros(place: Place, command: list, lists: tuple[Path, ...]) -> list:
    """Keep the distribution's NumPy and OpenCV, which its binaries were built against."""
    code = "import numpy; print(numpy.__version__); import cv2"
    found = _output(place, code)
    if not found:
        return command
    kept = place.notes / "beside_ros.txt"
    lines = [line for path in lists for line in path.read_text().splitlines()]
    kept.write_text("\n".join(line for line in lines if not line.startswith("opencv")))
    pins = place.notes / "constraints.txt"
    pins.write_text(f"numpy=={found.splitlines()[0]}\n")
    return [*command[: command.index("-r")], "-c", pins, "-r", kept]


def _output(place: Place, code: str) -> str:
    done = subprocess.run(
        [place.python, "-c", code], capture_output=True, text=True, env=environment(place)
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def install_colcon(place: Place) -> None:
    """Install colcon if the machine has none."""
    if shutil.which("colcon"):
        return
    run([place.python, "-m", "pip", "install", "colcon-common-extensions"], place, "pip")


def install_ros(place: Place, wheels: Path) -> None:
    """Install the ROS wheels and fix the paths in their CMake files."""
    install(place, (wheels,))
    run([place.python, FROM_PYPI / "rewrite_cmake_paths.py"], place, "cmake")


def build_messages(place: Place) -> None:
    """Build our messages and the stand-ins into the environment with colcon."""
    run([place.python, FROM_PYPI / "build_messages.py"], place, "colcon")


def write_commands(place: Place) -> None:
    """Write bin/any2seg and bin/segmenter, and put the source tree on the environment's path."""
    place.site_packages.joinpath("any2seg_ros_source.pth").write_text(f"{ROOT}\n")
    for name, module in (
        ("any2seg", "any2seg_ros.cli"),
        ("segmenter", "any2seg_ros.node.segmenter"),
    ):
        script = place.venv / "bin" / name
        script.write_text(COMMAND.format(python=place.python, module=module))
        script.chmod(0o755)


def make_graphs(place: Place) -> None:
    """What the node would make at its first start; it can, where this fails."""
    export = [place.python, "-m", "any2seg_ros.cli", "export", "--format", "graphs"]
    try:
        for weights, size in GRAPHS:
            width, height = size.split("x")
            sized = ["--width", width, "--height", height]
            run([*export, *sized, ROOT / weights], place, "graphs")
        with tempfile.TemporaryDirectory() as folder:
            replay = [place.python, "-m", "any2seg_ros.cli", "replay", "--out", folder]
            run([*replay, "--bag", ROOT / "demo_data" / "streets"], place, "loops")
    except Failed as failure:
        print(f"      the node will make them at its first start ({failure})", flush=True)


def environment(place: Place) -> dict[str, str]:
    """Environment variables for a step, without those of another Python environment."""
    kept = dict(os.environ)
    for name in ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "_ANY2SEG_ENVIRONMENT", "PYTHONHOME"):
        kept.pop(name, None)
    if not kept.get("ROS_DISTRO"):
        for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"):
            kept.pop(name, None)
    kept["PATH"] = f"{place.venv / 'bin'}{os.pathsep}{kept.get('PATH', '')}"
    kept.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PYTHONUNBUFFERED="1")
    return kept


def run(command: list, place: Place, log_name: str) -> None:
    """Run a command, output to a log; show its last line meanwhile, its tail on failure."""
    place.notes.mkdir(parents=True, exist_ok=True)
    log = place.notes / f"{log_name}.log"
    if log_name == "venv":
        log = Path(f"{place.venv}.log")
    words = [str(word) for word in command]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            words,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(place),
            cwd=ROOT,
        )
        try:
            _watch(process, log)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise Failed(
            f"{tail}\n\nany2seg: `{' '.join(words)}` failed: see {log}; run make again to resume"
        )
    if log_name == "venv":
        log.unlink()


def _watch(process: subprocess.Popen, log: Path) -> None:
    begin, printed = time.monotonic(), 0.0
    while True:
        try:
            process.wait(timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            waited = time.monotonic() - begin
        line = _last_line(log)
        if sys.stdout.isatty():
            print(f"\r\033[K      {waited:4.0f} s  {line}"[:100], end="", flush=True)
        elif waited - printed >= 30:
            printed = waited
            print(f"      {waited:4.0f} s  {line}"[:100], flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)


def _last_line(log: Path) -> str:
    with log.open("rb") as text:
        text.seek(max(0, log.stat().st_size - 400))
        lines = text.read().decode("utf-8", "replace").splitlines()
    return lines[-1].strip() if lines else ""


def megabytes(folder: Path) -> float:
    """Disk usage of a folder, MB."""
    total, stack = 0, [folder]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            continue
    return total / 1e6


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Lock the environment against a second `make`."""
    place.venv.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{place.venv}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("any2seg: waiting for another set-up of this environment", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(tests: bool) -> None:
    """Run the steps that are not up to date."""
    place = Place(venv_folder())
    digest, missing, renewed = "", [], False
    for step in steps(tests):
        digest = step.digest(digest if step.name != "tests" else "")
        stamp = place.notes / step.name
        kept = stamp.read_text() if stamp.exists() else ""
        # A step whose inputs are new needs those after it; what is sourced concerns it alone.
        renewed = renewed or kept.partition(" ")[0] != digest
        if renewed or kept != step.mark(digest):
            missing.append((step, stamp, step.mark(digest)))
    if not missing:
        return
    begin = time.monotonic()
    start = size = megabytes(place.venv)
    print(f"Setting up in {_shown(place.venv)} with Python {sys.version.split()[0]}", flush=True)
    for number, (step, stamp, wanted) in enumerate(missing, 1):
        print(f"[{number}/{len(missing)}] {step.text}", flush=True)
        stepped = time.monotonic()
        step.work(place)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(wanted)
        before, size = size, megabytes(place.venv)
        print(f"      {time.monotonic() - stepped:.0f} s, {size - before:+.0f} MB", flush=True)
    took = time.monotonic() - begin
    print(f"Done in {took:.0f} s: {size - start:+.0f} MB, {size:.0f} MB in total", flush=True)


def check(place: Place) -> None:
    """Raise Failed early, where a later step would fail with an obscure error."""
    for path in (ROOT, place.venv):
        if any(character.isspace() for character in str(path)):
            raise Failed(
                f"any2seg: '{path}' contains a space, which the ROS build tools do not support: "
                "move it (the environment: make VENV=/path/without/spaces)"
            )
    if os.environ.get("ROS_DISTRO") in TOO_OLD:
        raise Failed(
            f"any2seg: ROS 2 {os.environ['ROS_DISTRO']} comes with NumPy older than 1.26, which "
            "any2seg_ros needs: use a shell without a sourced ROS, and make installs ROS 2 from "
            "PyPI; for a vehicle see docs/setup.md"
        )


def main() -> int:
    """Set up; returns 1 on failure, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also install packages for the tests")
    wanted = parser.parse_args()
    try:
        place = Place(venv_folder())
        check(place)
        with alone(place):
            set_up(wanted.tests)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nany2seg: interrupted; run make again to resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
