"""Outputs are made where somebody listens, and only there."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from rclpy.lifecycle import LifecycleNode  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from any2seg_ros.node.publishers import Publishers  # noqa: E402
from any2seg_ros.runtime import outputs as made  # noqa: E402
from any2seg_ros.runtime.pipeline import Received, Result  # noqa: E402
from any2seg_ros.runtime.rendering import OutputConfig  # noqa: E402
from any2seg_ros.taxonomy import DELIVER  # noqa: E402
from any2seg_ros.types import Calibration, Frame, Measurement, Modality, Segmentation  # noqa: E402

FRAME = "camera"
COUNTED = {
    "overlay": "overlay",
    "points": "semantic_points",
    "mask": "mask_fields",
    "confidence": "confidence_fields",
}


@pytest.fixture
def node(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = LifecycleNode("segmenter")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def result() -> Result:
    height, width = ros_vehicle.CAMERA.height, ros_vehicle.CAMERA.width
    labels = np.full((height, width), 3, np.uint8)
    confidence = np.full((height, width), 0.5, np.float32)
    cloud = np.array([[0, 0, 10, 0]], np.float32)
    calibration = Calibration(ros_vehicle.CAMERA, FRAME)
    frame = Frame.of(Measurement(Modality.LIDAR, 1, cloud), calibration=calibration)
    anchor = Received(1, 0, Header(frame_id="lidar"), None)
    segmentation = Segmentation(labels, confidence, {Modality.LIDAR: 1.0})
    return Result(frame, {}, {Modality.LIDAR: anchor}, anchor, 0.0, segmentation, 0.0)


@pytest.mark.parametrize(
    ("wanted", "kind"), [("overlay", Image), ("points", PointCloud2), ("mask", Image)]
)
def test_only_what_somebody_listens_to_is_made(node, result, monkeypatch, wanted, kind) -> None:
    calls: Counter[str] = Counter()
    for name, function in COUNTED.items():
        real = getattr(made, function)

        def counting(*arguments, name=name, real=real, **options):
            calls[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(made, function, counting)
    published = Publishers(node, DELIVER, OutputConfig())
    node.trigger_configure()
    node.trigger_activate()
    published.publish(result)
    assert not calls

    heard: list = []
    node.create_subscription(kind, f"~/{wanted}", heard.append, 5)
    end = time.monotonic() + 20
    while not heard and time.monotonic() < end:
        published.publish(result)
        rclpy.spin_once(node, timeout_sec=0.1)
    assert heard and set(calls) == {wanted}
    published.stop()
