"""Makes the paths of the machine that built the ROS wheels those of this environment.

Run by the environment's Python. Two kinds of path are baked into share/**/*.cmake: Python's
headers and NumPy's headers, below /opt/python/cp3XY-cp3XY.
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
    """`text` of a CMake file with this environment's folders."""
    text = NUMPY.sub(lambda _: numpy.get_include(), text)
    return PYTHON.sub(lambda _: sysconfig.get_path("include"), text)


def main() -> None:
    """Rewrite every CMake file of the environment that needs it."""
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
