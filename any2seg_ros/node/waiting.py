"""Waits until the node is active: `python -m any2seg_ros.node.waiting --patience 300`.

Ends with 0 then, and with 1 if the node did not become active in time.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException

POLL_S = 0.2


def wait(node: Any, name: str, patience: float) -> bool:
    """Whether the lifecycle node called `name` is active within `patience` seconds."""
    client = node.create_client(GetState, f"{name}/get_state")
    end = time.monotonic() + patience
    try:
        while time.monotonic() < end:
            if not client.wait_for_service(timeout_sec=min(1.0, patience)):
                continue
            answer = client.call_async(GetState.Request())
            # A node that loads its network answers late, and one that dies never.
            rclpy.spin_until_future_complete(node, answer, timeout_sec=5.0)
            state = answer.result() if answer.done() else None
            if state is not None and state.current_state.id == State.PRIMARY_STATE_ACTIVE:
                return True
            time.sleep(POLL_S)
    finally:
        node.destroy_client(client)
    return False


def main() -> int:
    """Wait for the node that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", default="/segmenter", help="full name of the node")
    parser.add_argument("--patience", type=float, default=300.0, help="max time (s)")
    options = parser.parse_args()
    rclpy.init(args=[])
    node = rclpy.create_node("any2seg_waiting", use_global_arguments=False)
    try:
        if wait(node, options.node, options.patience):
            return 0
        print(f"{options.node} is not active after {options.patience:.0f} s", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
