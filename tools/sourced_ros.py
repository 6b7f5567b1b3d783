"""Runs this venv's Python in the ROS environment that it was set up with, from any shell.

Library paths are read when a process starts, so that Python is started once more with them set.
"""

import json
import os
import sys
from pathlib import Path

GUARD = "_ANY2SEG_SOURCED_ROS"

if not os.environ.get(GUARD):
    kept = json.loads(Path(__file__).with_name("sourced_ros.json").read_text())
    environment = {**os.environ, GUARD: "1"}
    for name, value in kept.items():
        now = environment.get(name, "")
        joined = f"{value}:{now}" if name.endswith("PATH") and now and now != value else value
        environment[name] = joined
    os.execve(sys.executable, sys.orig_argv, environment)
