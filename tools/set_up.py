#!/usr/bin/env python3
"""Set up `.venv`: Python packages, a ROS 2 (the sourced one, or wheels), messages, stand-ins.

Needs the standard library only. Each step leaves a stamp made from what it read: a step that is up
to date is skipped, one that was interrupted is done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / "set_up"
LOG = ROOT / "build" / "set_up.log"
FROM_PYPI = ROOT / "tools" / "ros_from_pypi"
EXTRAS = "openvino,onnxruntime,simulation,teachers,imagenet,test"
PYTHONS = ((3, 10), (3, 13))


@dataclass(frozen=True)
class Step:
    """One part of the set-up: done again whenever a file that it read has changed."""

    name: str
    title: str
    cost: str
    reads: tuple[str, ...]
    work: Callable[[], None]

    def fingerprint(self) -> str:
        """A hash of what the step depends on."""
        digest = hashlib.sha256(f"{sys.version} {os.environ.get('ROS_DISTRO', '')}".encode())
        for path in files(self.reads):
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @property
    def stamp(self) -> Path:
        return STAMPS / self.name

    def is_done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self.fingerprint()


def files(patterns: Iterable[str]) -> list[Path]:
    """The files of the repository that the patterns name, in order."""
    found = (path for pattern in patterns for path in ROOT.glob(pattern))
    return sorted({path for path in found if path.is_file() and "__pycache__" not in path.parts})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="do every step again")
    force = parser.parse_args().force
    check_python()
    waiting = list(STEPS)
    while not force and waiting and waiting[0].is_done():
        waiting.pop(0)
    if not waiting:
        return 0
    print(f"Setting up {VENV.name} with Python {sys.version.split()[0]} and {ros_in_words()}.")
    print("On a fresh machine this takes 5 to 10 minutes and about 3 GB of disk, once.", flush=True)
    began = time.monotonic()
    LOG.parent.mkdir(exist_ok=True)
    for step in waiting:
        run_step(step, len(STEPS) - len(waiting) + waiting.index(step) + 1)
    print(f"Set up in {time.monotonic() - began:.0f} s; {VENV.name} has {size_mb(VENV)} MB.")
    return 0


def check_python() -> None:
    low, high = PYTHONS
    if not low <= sys.version_info[:2] <= high:
        mend("Python 3.10 to 3.13 is needed: make PYTHON=/path/to/python3.12 setup")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        mend(f"this Python cannot make a venv: sudo apt install python{version}-venv")
    for tool, package in (("cmake", "cmake"), ("c++", "g++"), ("make", "make")):
        if not shutil.which(tool):
            mend(f"{tool} is missing: sudo apt install {package}")


def mend(message: str) -> None:
    sys.exit(f"set-up: {message}")


def run_step(step: Step, number: int) -> None:
    began, before = time.monotonic(), size_mb(VENV)
    print(f"[{number}/{len(STEPS)}] {step.title} ({step.cost}) ...", flush=True)
    step.stamp.unlink(missing_ok=True)
    fingerprint = step.fingerprint()
    try:
        step.work()
    except subprocess.CalledProcessError as error:
        tail = "".join(LOG.read_text(errors="replace").splitlines(keepends=True)[-25:])
        mend(
            f"'{' '.join(map(str, error.cmd))[:120]}' failed; the end of {LOG}:\n{tail}\n"
            "Mend what it says (network? disk?) and run the same command again: "
            "what is done is kept."
        )
    STAMPS.mkdir(parents=True, exist_ok=True)
    step.stamp.write_text(fingerprint)
    added = size_mb(VENV) - before
    print(f"      done in {time.monotonic() - began:.0f} s, {added:+d} MB", flush=True)


def size_mb(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))
            total += status.st_blocks * 512
    return total // 1_000_000


def run(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run a command, its output in the log."""
    with open(LOG, "a") as log:
        print("+", *command, file=log, flush=True)
        subprocess.run(
            [str(part) for part in command],
            check=True,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def pip(*arguments: str | Path) -> None:
    run(BIN / "python", "-m", "pip", "install", "--disable-pip-version-check", *arguments)


def sourced_ros() -> str:
    """The distribution that is sourced, or an empty text."""
    return os.environ.get("ROS_DISTRO", "")


def ros_in_words() -> str:
    distro = sourced_ros()
    return f"the sourced ROS 2 {distro}" if distro else "ROS 2 Kilted from PyPI"


def make_venv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    options = ["--system-site-packages"] if sourced_ros() else []
    run(sys.executable, "-m", "venv", *options, VENV)
    STAMPS.mkdir()


def install_python_packages() -> None:
    constraints = ["-c", ROOT / "constraints.txt"]
    if sourced_ros():
        constraints += ["-c", keep_system_numpy()]
    pip("--config-settings", "editable_mode=compat", *constraints, "-e", f"{ROOT}[{EXTRAS}]")


def keep_system_numpy() -> Path:
    """Constraints that keep the distribution's NumPy: its compiled cv_bridge is bound to it."""
    path = STAMPS / "system_constraints.txt"
    code = "import numpy; print(f'numpy=={numpy.__version__}')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    path.write_text(found.stdout)
    return path


def install_ros() -> None:
    """ROS as wheels, with the paths of the machine that built them replaced by this one's."""
    if sourced_ros():
        pip("colcon-common-extensions")
        return
    pip("-c", ROOT / "constraints.txt", "-r", FROM_PYPI / "requirements.txt")
    rewrite_cmake_paths()


def rewrite_cmake_paths() -> None:
    numpy_include = output("import numpy; print(numpy.get_include())")
    python_include = sysconfig.get_path("include")
    for path in (VENV / "share").rglob("*.cmake"):
        old = path.read_text()
        new = replace_built_in_paths(old, python_include, numpy_include)
        if new != old:
            path.write_text(new)


def replace_built_in_paths(text: str, python_include: str, numpy_include: str) -> str:
    """Replace the include folders of the manylinux image in a CMake file."""
    import re

    builder = r"/opt/python/cp3\d+-cp3\d+"
    text = re.sub(
        builder + r"/lib/python3\.\d+/site-packages/numpy/_core/include", numpy_include, text
    )
    return re.sub(builder + r"/include/python3\.\d+", python_include, text)


def output(code: str) -> str:
    """What a line of Python prints in the venv."""
    done = subprocess.run([BIN / "python", "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def is_importable(name: str) -> bool:
    code = f"import importlib.util as u; print(u.find_spec({name!r}) is not None)"
    return output(code) == "True"


def install_stand_ins() -> None:
    """Python packages of ROS that are absent; a file STAND_IN marks them for `any2seg doctor`."""
    site = Path(output("import sysconfig; print(sysconfig.get_path('purelib'))"))
    for folder in sorted((FROM_PYPI / "stand_ins" / "python").iterdir()):
        if not folder.is_dir():
            continue
        target = site / folder.name
        if target.is_symlink():
            target.unlink()
        if (target / "STAND_IN").exists():
            shutil.rmtree(target)
        if not is_importable(folder.name):
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns("__pycache__"))
            (target / "STAND_IN").touch()


def build_messages() -> None:
    """Our messages, and stand-ins for message packages that are absent, by colcon into the venv."""
    stand_ins = sorted((FROM_PYPI / "stand_ins" / "messages").iterdir())
    absent = [folder for folder in stand_ins if is_stand_in_or_absent(folder.name)]
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "")
    libraries = [VENV / "lib", *VENV.glob("lib/python3*/site-packages/ros_*.libs")]
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": ":".join(filter(None, (str(VENV), prefixes))),
        "CMAKE_PREFIX_PATH": ":".join(
            filter(None, (str(VENV), os.environ.get("CMAKE_PREFIX_PATH", "")))
        ),
        "LD_LIBRARY_PATH": ":".join(
            [*map(str, libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        ).strip(":"),
    }
    build = ROOT / "build"
    colcon = shutil.which("colcon", path=environment["PATH"]) or "colcon"
    run(
        *(colcon, "--log-base", build / "log", "build"),
        *("--merge-install", "--symlink-install"),
        *("--install-base", VENV, "--build-base", build / "colcon"),
        *("--paths", ROOT, *absent),
        *("--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={BIN / 'python'}"),
        environment=environment,
    )
    for folder in absent:
        (STAMPS / f"messages-{folder.name}").touch()
    if sourced_ros():
        remember_environment(environment)


def is_stand_in_or_absent(name: str) -> bool:
    return (STAMPS / f"messages-{name}").exists() or not is_importable(name)


ENVIRONMENT_VARIABLES = (
    "AMENT_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "ROS_DISTRO",
    "ROS_PYTHON_VERSION",
    "ROS_VERSION",
    "RMW_IMPLEMENTATION",
)


def remember_environment(environment: dict[str, str]) -> None:
    """Let the venv's Python find the sourced ROS from a clean shell too."""
    values = {**os.environ, **environment}
    values["LD_LIBRARY_PATH"] = f"{VENV / 'lib'}:{values.get('LD_LIBRARY_PATH', '')}".strip(":")
    kept = {name: values[name] for name in ENVIRONMENT_VARIABLES if values.get(name)}
    site = Path(output("import sysconfig; print(sysconfig.get_path('purelib'))"))
    (site / "sourced_ros.json").write_text(json.dumps(kept, indent=2))
    shutil.copy(ROOT / "tools" / "sourced_ros.py", site)
    (site / "sourced_ros.pth").write_text("import sourced_ros\n")


STEPS = (
    Step("venv", "Making the virtual environment", "5 s", (), make_venv),
    Step(
        "python",
        "Installing Python packages: torch (CPU), OpenVINO, OpenCV, ...",
        "1 to 4 min, 1.9 GB",
        ("setup.py", "constraints.txt"),
        install_python_packages,
    ),
    Step(
        "ros",
        "Installing ROS 2 and its build tools",
        "1 min, 0.4 GB",
        ("tools/ros_from_pypi/requirements.txt", "tools/set_up.py"),
        install_ros,
    ),
    Step(
        "messages",
        "Building messages",
        "1 to 2 min",
        ("package.xml", "CMakeLists.txt", "msg/*", "tools/ros_from_pypi/stand_ins/messages/**/*"),
        build_messages,
    ),
    Step(
        "stand-ins",
        "Laying stand-ins for absent ROS packages",
        "2 s",
        ("tools/ros_from_pypi/stand_ins/python/**/*",),
        install_stand_ins,
    ),
)

if __name__ == "__main__":
    sys.exit(main())
