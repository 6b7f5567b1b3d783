"""The node with the other kinds of event messages, over DDS: EventArrays, and ready images."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from any2seg_ros.types import Modality  # noqa: E402

EVENT = Modality.EVENT
COUNT = 200


def event_array(package: str) -> tuple[type, Any]:
    """The type of a package's EventArray, and what makes one with events of the last 20 ms."""
    messages = pytest.importorskip(f"{package}.msg", reason=f"{package} is not here")
    generator = np.random.default_rng(0)

    def make(header: Any, _: Any) -> Any:
        array = messages.EventArray(header=header, width=64, height=48)
        stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
        for age in np.linspace(20_000_000, 0, COUNT).astype(int).tolist():
            event = messages.Event(x=int(generator.integers(64)), y=int(generator.integers(48)))
            event.ts = ros_vehicle.time_of(stamp - age)
            event.polarity = bool(generator.integers(2))
            array.events.append(event)
        return array

    return messages.EventArray, make


def event_image(header: Any, generator: np.random.Generator) -> Image:
    """A ready picture of events, registered to the camera."""
    pixels = generator.integers(0, 255, (48, 64, 3), np.uint8)
    data = ros_vehicle.bytes_of(pixels.tobytes())
    return Image(header=header, width=64, height=48, encoding="rgb8", step=192, data=data)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ros_vehicle.tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("kind", "package"),
    [("dvs", "dvs_msgs"), ("prophesee", "prophesee_event_msgs"), ("image", "")],
)
def test_events_of_this_kind_are_segmented(kind, package, model, monkeypatch):
    message, make = event_array(package) if package else (Image, event_image)
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    vehicle = ros_vehicle.Vehicle(message, make)
    given = {"event.type": kind, "event.registered": str(kind == "image").lower()}
    arguments = ros_vehicle.arguments_of(model=model, **given)
    arguments += ["-r", "event/image:=event/packets"]
    try:
        with ros_vehicle.NodeInProcess(*arguments) as node:
            assert vehicle.wait(lambda: vehicle.heard["status"] or not node.lives, 90)
            vehicle.alive = {Modality.RGB, EVENT}
            assert vehicle.wait(lambda: vehicle.uses(Modality.RGB, EVENT), 60), (
                node.log,
                vehicle.heard["status"][-1],
            )
            vehicle.alive = {EVENT}
            assert vehicle.wait(lambda: vehicle.uses(EVENT), 60), node.log
            vehicle.clear()
            time.sleep(2 * ros_vehicle.PERIOD)
            assert vehicle.wait(lambda: vehicle.heard["mask"], 30)
    finally:
        vehicle.close()
        rclpy.try_shutdown()
