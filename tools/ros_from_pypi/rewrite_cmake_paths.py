"""Replaces the build machine's paths in the CMake files of the ROS wheels.

Run with the environment's Python. Two paths below /opt/python/cp3XY-cp3XY are baked into
share/**/*.cmake: the headers of Python and of NumPy.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILT_WITH = r"/opt/python/cp3\d+-cp3\d+"
NUMPY = re.compile(BUILT_WITH + r"/lib/python3\.\d+/site-packages/numpy/_?core/include")
PYTHON = re.compile(BUILT_WITH + r"/include/python3\.\d+")


def rewritten(text: str) -> str:
    """The text of a CMake file with this environment's paths."""
    text = NUMPY.sub(lambda _: numpy.get_include(), text)
    return PYTHON.sub(lambda _: sysconfig.get_path("include"), text)


def main() -> None:
    """Rewrite the CMake files of the environment."""
    changed = 0
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        before = path.read_text(encoding="utf-8")
        after = rewritten(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed += 1
    print(f"{changed} CMake files rewritten")


if __name__ == "__main__":
    main()
