#!/usr/bin/env python3
"""Lists every function of the package that one camera image goes through, from its subscription to
the published mask: `.venv/bin/python tools/trace_image.py`. The shipped weights run on torch.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from any2seg_ros.node.process import start
from any2seg_ros.node.segmenter_node import SegmenterNode
from any2seg_ros.resources import find
from any2seg_ros.types import Modality

PACKAGE = "/any2seg_ros/"
PARAMETERS = ["engine:=torch", "threads:=1", "deadline:=0.0"]
PARAMETERS += [f"{modality.label}.enabled:=false" for modality in Modality if modality]


class Trace:
    """Functions of the package in the order of their first call."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], None] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and PACKAGE in frame.f_code.co_filename:
            name = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
            self.seen.setdefault((frame.f_code.co_filename.rpartition(PACKAGE)[2], name))

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, traced."""

        def traced(*arguments: Any) -> Any:
            sys.setprofile(self)
            try:
                return function(*arguments)
            finally:
                sys.setprofile(None)

        return traced


def messages(topic: str, kind: type, count: int) -> list[Any]:
    """The first messages of a topic of the demo's bag."""
    with Reader(find("demo_data/streets")) as bag:
        chosen = [c for c in bag.connections if c.topic == topic]
        rows = bag.messages(chosen)
        return [deserialize_message(bytes(next(rows)[2]), kind) for _ in range(count)]


def main() -> None:
    """Trace the third image: the first two fill caches."""
    rclpy.init()
    arguments = [word for value in PARAMETERS for word in ("-p", value)]
    demo = ["--params-file", str(find("config/demo.yaml"))]
    node = SegmenterNode(cli_args=["--ros-args", *demo, *arguments])
    listener = rclpy.create_node("listener")
    heard = threading.Semaphore(0)
    listener.create_subscription(Image, "/segmenter/mask", lambda mask: heard.release(), 10)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    assert start(node)
    loop, trace = node._loop, Trace()
    assert loop is not None
    loop._on_camera_info(Modality.RGB, messages("/rgb/camera_info", CameraInfo, 1)[0])
    camera = loop._subscriptions.filters[Modality.RGB]
    *first, last = messages("/rgb/image/compressed", CompressedImage, 12)
    for image in first:
        camera.signalMessage(image)
        executor.spin_once(timeout_sec=0.5)
        while heard.acquire(blocking=False):
            pass
    loop.worker._process = trace.of(loop.worker._process)
    trace.of(camera.signalMessage)(last)
    while not heard.acquire(blocking=False):
        executor.spin_once(timeout_sec=0.5)
    files = {file for file, _ in trace.seen}
    print(f"{len(trace.seen)} functions in {len(files)} files")
    for file, name in trace.seen:
        print(f"  {file:36} {name}")
    node.close()
    node.destroy_node()
    listener.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
