"""Builds our messages, and stand-ins for absent packages, into the environment that runs this.

Message packages are built by colcon; Python stand-ins are links in site-packages. No stand-in is
made where the real package is found; one made earlier is removed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STAND_INS = HERE / "stand_ins"
PREFIX = Path(sys.prefix)
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
MARK = "STAND_IN"


def is_real(name: str) -> bool:
    """Whether the package is installed and is not our stand-in."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    if found is None or found.origin is None:
        return False
    ours = [STAND_INS.resolve()]
    if (PREFIX / "share" / name / MARK).exists():
        ours.append((SITE_PACKAGES / name).resolve())
    return not any(Path(found.origin).resolve().is_relative_to(place) for place in ours)


def message_packages() -> list[Path]:
    """Folders of the packages to build: ours and the stand-ins needed."""
    stand_ins = sorted(path.parent for path in STAND_INS.glob("messages/*/package.xml"))
    return [ROOT, *(path for path in stand_ins if not is_real(path.name))]


def remove_message_stand_ins() -> None:
    """Remove those whose real package is there: their libraries would be loaded in its place."""
    for mark in sorted(PREFIX.glob(f"share/*/{MARK}")):
        if is_real(mark.parent.name):
            _remove_messages(mark.parent.name)


def _remove_messages(name: str) -> None:
    found = [
        *PREFIX.glob(f"share/ament_index/resource_index/*/{name}"),
        *PREFIX.glob(f"lib/lib{name}__*"),
        *SITE_PACKAGES.glob(f"{name}-*.egg-info"),
    ]
    kept = ("share", "share/colcon-core/packages", "include", ".any2seg/build")
    for path in (*found, SITE_PACKAGES / name, *(PREFIX / place / name for place in kept)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    print(f"stand-in removed, the real package is there: {name}")


def build_environment() -> dict[str, str]:
    """Environment variables for colcon and CMake: this environment's prefix and libraries."""
    environment = dict(os.environ)
    libraries = [PREFIX / "lib", *sorted(SITE_PACKAGES.glob("ros_*.libs"))]
    for name, paths in (
        ("AMENT_PREFIX_PATH", [PREFIX]),
        ("CMAKE_PREFIX_PATH", [PREFIX]),
        ("LD_LIBRARY_PATH", libraries),
        ("PATH", [PREFIX / "bin"]),
    ):
        before = environment.get(name, "").split(os.pathsep)
        places = dict.fromkeys([*map(str, paths), *filter(None, before)])
        environment[name] = os.pathsep.join(places)
    # colcon's default (-l) pauses compiling while the machine is busy. GNU make may set it to "".
    if not environment.get("MAKEFLAGS", "").strip():
        environment["MAKEFLAGS"] = f"-j{len(os.sched_getaffinity(0))}"
    return environment


def build(packages: list[Path]) -> None:
    """Build the messages with colcon; our Python modules stay in the source tree."""
    notes = PREFIX / ".any2seg"
    command = [
        "colcon", "--log-base", notes / "colcon_log", "build",
        "--paths", *packages,
        "--merge-install", "--install-base", PREFIX, "--build-base", notes / "build",
        "--event-handlers", "console_direct+",
        "--cmake-args", "-DANY2SEG_INSTALL_MODULES=OFF", "-DBUILD_TESTING=OFF",
        "--no-warn-unused-cli",
        f"-DPython3_EXECUTABLE={sys.executable}",
        f"-DPYTHON_INSTALL_DIR={SITE_PACKAGES.relative_to(PREFIX)}",
    ]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True, env=build_environment())
    # Source tree and built messages are one package and share one __init__.py.
    inner = SITE_PACKAGES / "any2seg_ros" / "__init__.py"
    inner.unlink(missing_ok=True)
    inner.symlink_to(ROOT / "any2seg_ros" / "__init__.py")


def link_python_stand_ins() -> None:
    """Link the stand-ins into site-packages, so that edits take effect."""
    for folder in sorted(path.parent for path in STAND_INS.glob("python/*/__init__.py")):
        link = SITE_PACKAGES / folder.name
        if link.is_symlink():
            link.unlink()
        if not is_real(folder.name):
            link.symlink_to(folder)
            print(f"stand-in: {folder.name}")


def main() -> int:
    """Build and link; returns colcon's exit code if it fails."""
    if not shutil.which("cmake") or not (shutil.which("c++") or os.environ.get("CXX")):
        print("no cmake or no C++ compiler: sudo apt install build-essential cmake")
        return 1
    remove_message_stand_ins()
    packages = message_packages()
    print("messages:", *(path.name if path != ROOT else "any2seg_ros" for path in packages))
    try:
        build(packages)
    except subprocess.CalledProcessError as failure:
        return failure.returncode
    link_python_stand_ins()
    if os.environ.get("ROS_DISTRO"):
        subprocess.run([sys.executable, HERE / "ros_environment.py"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
