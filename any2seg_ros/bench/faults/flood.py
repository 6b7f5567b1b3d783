"""Publishes one message again and again: `flood TOPIC TYPE FILE HERTZ`, until its input ends.

The file has the serialized message; the stamps of messages with a header are those of now.
"""

from __future__ import annotations

import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.qos import QoSProfile

from any2seg_ros.bags.stamps import restamp
from any2seg_ros.messages.kinds import TRANSFORMS, message_class

FOUND_S = 3.0
"""A subscription of another type is never found."""
TICK_S = 0.002
BEHIND_S = 0.1
"""What is later than this is left out: a flood that is held up does not become a bigger one."""


def main(topic: str, kind: str, file: str, hertz: str) -> None:
    """Publish until the standard input is closed; prints how often it did then, in Hz."""
    cdr = Path(file).read_bytes()
    rclpy.init(args=[])
    node = rclpy.create_node("flood")
    publisher: Any = node.create_publisher(message_class(kind), topic, QoSProfile(depth=50))
    given_up = time.monotonic() + FOUND_S
    while not publisher.get_subscription_count() and time.monotonic() < given_up:
        time.sleep(0.02)
    print("begins", flush=True)
    began = due = time.monotonic()
    period, sent = 1.0 / float(hertz), 0
    while not _closed(max(0.0, min(TICK_S, due - time.monotonic()))):
        due = max(due, time.monotonic() - BEHIND_S)
        while due <= time.monotonic():
            stamped = cdr if kind == TRANSFORMS else restamp(cdr, time.time_ns())
            due += period
            with suppress(RCLError):  # the middleware cannot take more
                publisher.publish(stamped)
                sent += 1
    print(sent / max(1e-9, time.monotonic() - began), flush=True)
    rclpy.try_shutdown()


def _closed(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
