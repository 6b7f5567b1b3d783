"""Wires rclpy, the node and its executor together."""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn

from any2seg_ros.node.segmenter_node import SegmenterNode, WatchdogExpired
from any2seg_ros.node.telling_executor import TellingExecutor

_PLACE = re.compile(r", at \S+:\d+")
"""Where in its own sources rcl found an error."""
GIL_SWITCH_S = 0.0005
"""How long a thread that wants Python waits for one that holds it. OpenCV and the engines let go
of Python dozens of times a frame; at the default of 5 ms the executor doubles the latency."""

WATCHDOG_CODE = 70
"""Exit code after WatchdogExpired; sysexits.h calls it an internal software error."""


def run(arguments: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 1 if it cannot start by itself.

    Ends the process with WATCHDOG_CODE where the parameter `watchdog` says so.
    """
    sys.setswitchinterval(GIL_SWITCH_S)
    _have_a_log_folder()
    wrong = begin(arguments)
    if wrong:
        print(f"segmenter: {wrong}; see segmenter --help", file=sys.stderr)
        return 1
    try:
        node = SegmenterNode()
    except ParameterException as error:
        hint = "write 1.0 for a number with a fraction, 1 for a whole one"
        print(f"segmenter: a parameter cannot be: {error} ({hint})", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    except Exception as error:
        if type(error).__name__ != "RCLError":  # of the middleware; rclpy has no public name for it
            raise
        print(f"segmenter: {_PLACE.sub('', ' '.join(str(error).split()))}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    try:
        executor = make_executor(node)
        executor.add_node(node)
        if node.get_parameter("autostart").value and not start(node):
            return 1 if rclpy.ok() else 0
        gc.freeze()  # what is there by now stays: looking through it for garbage is in vain
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except WatchdogExpired as reason:
        _give_up(node, str(reason))
    except Exception:
        # A signal takes the context away from whatever is being made at that moment.
        if rclpy.ok():
            raise
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _have_a_log_folder() -> None:
    """rclpy ends where it cannot make one under the home folder: containers may have none."""
    if os.environ.get("ROS_LOG_DIR") or os.environ.get("ROS_HOME"):
        return
    home = os.environ.get("HOME")
    folders = [Path(home, ".ros", "log"), Path(home, ".ros"), Path(home)] if home else []
    there = next((folder for folder in folders if folder.exists()), None)
    if there is None or not os.access(there, os.W_OK):
        os.environ["ROS_LOG_DIR"] = tempfile.mkdtemp(prefix="any2seg-log-")


def _give_up(node: SegmenterNode, reason: str) -> None:
    """End the process, with whatever thread in it hangs: threads cannot be ended one by one."""
    hanging = threading.Timer(5.0, os._exit, [WATCHDOG_CODE])
    hanging.daemon = True
    hanging.start()
    node.get_logger().fatal(f"{reason}; ending with {WATCHDOG_CODE}")
    node.close(patience=1.0)
    node.destroy_node()
    rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(WATCHDOG_CODE)


def begin(arguments: list[str] | None) -> str:
    """Start rclpy; returns what is wrong with its arguments in a line, empty if nothing is."""
    try:
        rclpy.init(args=arguments)
    except Exception as error:  # of several types, by distribution
        text = _PLACE.sub("", str(error)).replace("failed to initialize rcl: ", "")
        unknown = type(error).__name__ == "UnknownROSArgsError"
        return " ".join(f"{'unknown arguments: ' if unknown else ''}{text}".split())
    return ""


def make_executor(node: SegmenterNode) -> Any:
    """The executor that the node's parameter names, as far as this rclpy has it."""
    if node.get_parameter("executor").value == "events":
        try:
            from rclpy.experimental import EventsExecutor

            return EventsExecutor()
        except ImportError:
            node.get_logger().warning("this rclpy has no events executor: single_threaded it is")
    return TellingExecutor(node.on_undecodable)


def start(node: SegmenterNode) -> bool:
    """Configure and activate; whether both succeeded."""
    success = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
