"""Makes this environment's Python find the ROS 2 that is sourced now, in any later shell.

Writes a module that runs when Python starts: it sets the variables of that ROS and of our messages
and executes Python again. The wheels from PyPI have such a module of their own.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

LISTS = ("AMENT_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH")
WORDS = ("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION")
MODULE = '''\
"""Sets the paths of the ROS 2 used at set-up, and of our messages."""

import json
import os
import sys
from pathlib import Path

GUARD = "_ANY2SEG_ENVIRONMENT"
if os.environ.get(GUARD) != sys.prefix:
    saved = json.loads(Path(__file__).with_suffix(".json").read_text())
    for name, places in saved["lists"].items():
        before = os.environ.get(name, "").split(os.pathsep)
        os.environ[name] = os.pathsep.join(dict.fromkeys([*places, *filter(None, before)]))
    for name, word in saved["words"].items():
        os.environ.setdefault(name, word)
    os.environ[GUARD] = sys.prefix
    os.execve(sys.executable, sys.orig_argv, os.environ)
'''


def main() -> None:
    """Write the module, the variables it sets, and the .pth that runs it."""
    lists = {name: _places(name) for name in LISTS}
    lists["AMENT_PREFIX_PATH"].insert(0, sys.prefix)
    lists["LD_LIBRARY_PATH"].insert(0, str(Path(sys.prefix, "lib")))
    words = {name: os.environ[name] for name in WORDS if name in os.environ}
    folder = Path(sysconfig.get_path("purelib"))
    text = json.dumps({"lists": lists, "words": words}, indent=1)
    folder.joinpath("any2seg_ros_environment.json").write_text(text)
    folder.joinpath("any2seg_ros_environment.py").write_text(MODULE)
    folder.joinpath("any2seg_ros_environment.pth").write_text("import any2seg_ros_environment\n")


def _places(name: str) -> list[str]:
    return [place for place in os.environ.get(name, "").split(os.pathsep) if place]


if __name__ == "__main__":
    main()
