"""How many large messages arrive over the middleware alone: plain rclpy, two processes, no node.

`python -m any2seg_ros.bench.delivery` tries the defaults and what docs/node.md advises.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from any2seg_ros import resources

SECTION = "delivery"
COUNT = 40
PERIOD_S = 0.1
PROFILES = "config/fastdds.xml"
SIZES = {"20 000 points": 20_000, "34 000 points": 34_000, "114 000 points": 114_000}
POINT_BYTES = 16
WAYS: dict[str, dict[str, str]] = {
    "defaults": {},
    "config/fastdds.xml": {
        "FASTDDS_DEFAULT_PROFILES_FILE": "",
        "FASTRTPS_DEFAULT_PROFILES_FILE": "",
    },
    "FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA": {"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"},
    "UDP alone": {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"},
}
"""Environment variables of both processes; an empty one is the path of the profiles."""


def run() -> dict[str, Any]:
    """Messages that arrived of 40, by setting, size and reliability."""
    figures: dict[str, Any] = {"sent": COUNT, "sockets": _sockets()}
    for way, variables in WAYS.items():
        arrived = figures[way] = {}
        for name, points in SIZES.items():
            for reliable in (False, True):
                word = "reliable" if reliable else "best effort"
                arrived[f"{name}, {word}"] = _arrived(points * POINT_BYTES, reliable, variables)
    return figures


def _sockets() -> dict[str, int]:
    """Sizes of socket buffers that the kernel gives, bytes."""
    names = ("rmem_default", "rmem_max", "wmem_default", "wmem_max")
    found = {}
    for name in names:
        try:
            with open(f"/proc/sys/net/core/{name}") as text:
                found[name] = int(text.read())
        except OSError:  # a container may hide it
            continue
    return found


def _arrived(size: int, reliable: bool, variables: dict[str, str]) -> int:
    """How many of `COUNT` messages of `size` bytes another process hears."""
    profiles = str(resources.find(PROFILES))
    environment = {**os.environ, **{name: word or profiles for name, word in variables.items()}}
    command = [sys.executable, "-m", __spec__.name if __spec__ else "any2seg_ros.bench.delivery"]
    options = ["--size", str(size), *(["--reliable"] if reliable else [])]
    roles = [
        subprocess.Popen(
            [*command, "--role", role, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for role in ("listener", "talker")
    ]
    try:
        heard = roles[0].communicate(timeout=120)[0]
        roles[1].wait(30)
    finally:
        for process in roles:
            process.kill()
            process.wait()
    return int(heard or 0)


def _profile(reliable: bool) -> Any:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=10, reliability=policy)


def _talk(size: int, reliable: bool) -> None:
    import numpy as np
    import rclpy
    from sensor_msgs.msg import PointCloud2

    from any2seg_ros.messages.buffers import from_array

    node = rclpy.create_node("talker")
    publisher = node.create_publisher(PointCloud2, "/bench/points", _profile(reliable))
    end = time.monotonic() + 30
    while not publisher.get_subscription_count() and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    width = size // POINT_BYTES
    cloud = PointCloud2(height=1, width=width, point_step=POINT_BYTES, row_step=size)
    cloud.data = from_array(np.random.default_rng(0).integers(0, 255, size, np.uint8))
    due = time.monotonic()
    for _ in range(COUNT):
        publisher.publish(cloud)
        due += PERIOD_S
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(1.0)
    node.destroy_node()


def _listen(reliable: bool) -> int:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import PointCloud2

    node = rclpy.create_node("listener")
    arrived = 0

    def count(msg: Any) -> None:
        nonlocal arrived
        arrived += 1

    node.create_subscription(PointCloud2, "/bench/points", count, _profile(reliable))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + 60
    seen = False
    while time.monotonic() < end and arrived < COUNT:
        executor.spin_once(timeout_sec=0.1)
        talking = node.count_publishers("/bench/points") > 0
        if seen and not talking:
            break
        seen = seen or talking
    node.destroy_node()
    return arrived


def main() -> None:
    """Print the figures; with a role be one of the two processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=("talker", "listener"), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--reliable", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.role:
        print(json.dumps(run(), indent=2))
        return
    import rclpy

    rclpy.init(args=[])
    try:
        if options.role == "talker":
            _talk(options.size, options.reliable)
        else:
            print(_listen(options.reliable))
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
