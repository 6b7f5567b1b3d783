"""Where the files that come with the package are: in a source tree, a ROS prefix or a venv."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path


def find(relative: str) -> Path:
    """The file or folder that the package ships as `relative`, such as `config/any2seg.yaml`.

    Looked for in the source tree first, then in share/any2seg_ros of every ROS prefix and of where
    the running Python, or its user, has packages' files. FileNotFoundError names the places where
    it is not.
    """
    candidates = [root / relative for root in _roots()]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    places = ", ".join(str(candidate) for candidate in candidates)
    raise FileNotFoundError(f"{relative} is in none of {places}: install any2seg_ros again")


SHIPPED_WEIGHTS = ("real", "streets")
"""Names of the weights that come with the package."""
DEFAULT_WEIGHTS = "real"
"""Those that run where none are named."""


def weights_path(name: str) -> Path:
    """The file of the weights called so that come with the package; any other name is a path."""
    return find(f"models/any2seg_{name}.safetensors") if name in SHIPPED_WEIGHTS else Path(name)


def _roots() -> Iterator[Path]:
    source = Path(__file__).resolve().parents[1]
    if (source / "package.xml").exists():
        yield source
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    installed = [sys.prefix, sysconfig.get_path("data"), site.getuserbase()]
    for prefix in dict.fromkeys([*filter(None, prefixes), *installed]):
        yield Path(prefix) / "share" / "any2seg_ros"
