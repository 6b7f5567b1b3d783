"""Which messages a sensor's transport has."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from any2seg_ros.node.subscriptions import topic_of, type_of
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.types import Modality


@pytest.mark.parametrize(
    ("values", "modality", "package", "name"),
    [
        ({}, Modality.RGB, "sensor_msgs", "Image"),
        ({"rgb.transport": "compressed"}, Modality.RGB, "sensor_msgs", "CompressedImage"),
        ({"depth.transport": "compressedDepth"}, Modality.DEPTH, "sensor_msgs", "CompressedImage"),
        ({}, Modality.LIDAR, "sensor_msgs", "PointCloud2"),
        ({}, Modality.EVENT, "event_camera_msgs", "EventPacket"),
        ({"event.type": "image"}, Modality.EVENT, "sensor_msgs", "Image"),
        ({"rgb.transport": "ffmpeg"}, Modality.RGB, "ffmpeg_image_transport_msgs", "FFMPEGPacket"),
        ({"rgb.transport": "foxglove"}, Modality.RGB, "foxglove_msgs", "CompressedVideo"),
    ],
)
def test_a_transport_has_its_message_or_the_package_that_is_missing_is_named(
    values, modality, package, name
):
    try:
        found = type_of(modality, from_values(values))
    except ModuleNotFoundError as error:
        assert f"{package} is not installed: install it, or set {modality.label}" in str(error)
        return
    assert (found.__module__.split(".")[0], found.__name__) == (package, name)


def test_video_is_rgb_s_alone():
    with pytest.raises(ValueError, match=r"depth.transport"):
        from_values({"depth.transport": "ffmpeg"})


def test_a_topic_of_a_parameter_is_taken_as_it_is():
    parameters = from_values({"rgb.topic": "/cam/image_rect/compressed"})
    assert topic_of(Modality.RGB, parameters) == "/cam/image_rect/compressed"
    assert topic_of(Modality.LIDAR, parameters) == "lidar/points"
    assert topic_of(Modality.EVENT, from_values({"event.type": "image"})) == "event/image"
