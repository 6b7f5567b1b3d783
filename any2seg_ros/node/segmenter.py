"""The executable `segmenter`: ends with 0 when it is told to, however early that is."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

USAGE = """usage: segmenter [--ros-args ...]

Segments the scene from whatever is left of camera, depth, LiDAR and events.

  segmenter --ros-args --params-file vehicle.yaml     parameters: config/any2seg.yaml has all
  segmenter --ros-args -p device:=cpu                 one of them
  segmenter --ros-args -r rgb/image:=/front/image_raw -r rgb/camera_info:=/front/camera_info
  segmenter --ros-args -r __ns:=/car --log-level debug"""


def main(arguments: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 1 if it cannot start by itself."""
    words = sys.argv[1:] if arguments is None else arguments[1:]
    if words and words[0] != "--ros-args":
        print(USAGE)
        return 0 if words[0] in ("-h", "--help") else 2
    for number in (signal.SIGINT, signal.SIGTERM):  # before rclpy's handlers, and after them
        signal.signal(number, _end)
    try:
        from any2seg_ros.node.process import run
    except ModuleNotFoundError as error:
        print(
            f"segmenter: {error.name} is not there: source a ROS 2, or run `make setup` in a clone "
            "and take .venv/bin/segmenter; `any2seg doctor` says what else is missing",
            file=sys.stderr,
        )
        return 1
    return run(arguments)


def _end(number: int, frame: Any) -> None:
    """Nothing is to be cleaned up then; an exception amid torch's import aborts the process."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
