"""Which topics the node listens to, with which messages and quality of service."""

from __future__ import annotations

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, PointCloud2  # noqa: E402

from any2seg_ros.node.subscriptions import Subscriptions, topic_of, type_of  # noqa: E402
from any2seg_ros.runtime.parameters import from_values  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

RGB, DEPTH, LIDAR, EVENT = Modality


@pytest.fixture
def node(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("segmenter", namespace="car")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def subscribed(node) -> dict[str, str]:
    """The topics that the node listens to, and their types."""
    found = node.get_subscriber_names_and_types_by_node("segmenter", "/car")
    return {
        topic: kinds[0].rsplit("/", 1)[1] for topic, kinds in found if topic != "/parameter_events"
    }


def subscriptions(node, heard: list | None = None, **values) -> Subscriptions:
    told = (lambda *_: None) if heard is None else lambda *given: heard.append(given)
    given = {name.replace("__", "."): value for name, value in values.items()}
    return Subscriptions(node, from_values(given), told)


@pytest.mark.parametrize(
    ("values", "modality", "package", "name"),
    [
        ({}, RGB, "sensor_msgs", "Image"),
        ({"rgb.transport": "compressed"}, RGB, "sensor_msgs", "CompressedImage"),
        ({"depth.transport": "compressedDepth"}, DEPTH, "sensor_msgs", "CompressedImage"),
        ({}, LIDAR, "sensor_msgs", "PointCloud2"),
        ({}, EVENT, "event_camera_msgs", "EventPacket"),
        ({"event.type": "image"}, EVENT, "sensor_msgs", "Image"),
        ({"rgb.transport": "ffmpeg"}, RGB, "ffmpeg_image_transport_msgs", "FFMPEGPacket"),
        ({"rgb.transport": "foxglove"}, RGB, "foxglove_msgs", "CompressedVideo"),
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


def test_it_listens_to_every_sensor_and_to_the_cameras_calibration_and_to_nothing_else(node):
    wanted = subscriptions(node, rgb__transport="compressed")
    assert subscribed(node) == {}
    wanted.start()
    assert subscribed(node) == {
        "/car/rgb/image/compressed": "CompressedImage",
        "/car/rgb/camera_info": "CameraInfo",
        "/car/depth/image": "Image",
        "/car/depth/camera_info": "CameraInfo",
        "/car/lidar/points": "PointCloud2",
        "/car/event/packets": "EventPacket",
        "/car/event/camera_info": "CameraInfo",
    }
    wanted.stop()
    assert subscribed(node) == {}


def test_without_its_camera_the_node_still_hears_the_reference_camera_s_calibration(node):
    off = {f"{name}__enabled": False for name in ("rgb", "depth", "event")}
    subscriptions(node, **off).start()
    assert set(subscribed(node)) == {"/car/rgb/camera_info", "/car/lidar/points"}


def test_a_sensor_is_taken_out_and_let_in_by_itself(node):
    wanted = subscriptions(node)
    wanted.start()
    before = subscribed(node)
    wanted.remove(DEPTH)
    assert set(before) - set(subscribed(node)) == {"/car/depth/image", "/car/depth/camera_info"}
    wanted.add(DEPTH)
    wanted.add(DEPTH)
    assert subscribed(node) == before
    assert node.count_subscribers("/car/depth/image") == 1


def test_sensors_are_heard_with_best_effort_unless_reliable_is_wanted(node):
    subscriptions(node, lidar__reliable=True).start()
    policies = {
        topic: node.get_subscriptions_info_by_topic(f"/car/{topic}")[0].qos_profile.reliability
        for topic in ("rgb/image", "lidar/points")
    }
    assert policies == {
        "rgb/image": ReliabilityPolicy.BEST_EFFORT,
        "lidar/points": ReliabilityPolicy.RELIABLE,
    }


def test_messages_leave_by_the_filter_of_their_sensor_and_calibrations_by_name(node):
    infos: list = []
    clouds: list = []
    wanted = subscriptions(node, infos)
    wanted.filters[LIDAR].registerCallback(clouds.append)  # before anything is subscribed to
    wanted.start()
    points = node.create_publisher(PointCloud2, "lidar/points", 1)
    info = node.create_publisher(CameraInfo, "depth/camera_info", 1)
    for _ in range(1000):
        if clouds and infos:
            break
        points.publish(PointCloud2(width=7))
        info.publish(CameraInfo(width=9))
        rclpy.spin_once(node, timeout_sec=0.1)
    assert clouds[0].width == 7
    assert (infos[0][0], infos[0][1].width) == (DEPTH, 9)


def flooded(node, wanted: Subscriptions) -> bool:
    """Publish clouds until their topic is left alone."""
    publisher = node.create_publisher(PointCloud2, "lidar/points", 10)
    for _ in range(5000):
        for _ in range(5):
            publisher.publish(PointCloud2(width=1))
        for _ in range(10):
            rclpy.spin_once(node, timeout_sec=0.0)
        if wanted.flood(LIDAR):
            return True
    return False


def test_a_flooded_topic_is_left_alone_and_listened_to_again_once_it_is_over(node):
    clouds: list = []
    told: list = []
    wanted = Subscriptions(
        node, from_values({}), lambda *_: None, on_flood=lambda *given: told.append(given)
    )
    wanted.filters[LIDAR].registerCallback(clouds.append)
    wanted.start()
    assert flooded(node, wanted)
    assert told == [(LIDAR, "flooded: not listened to while above 500 messages/s")]
    wanted.adapt()
    assert node.count_subscribers("lidar/points") == 0
    assert node.count_subscribers("event/packets") == 1
    publisher = node.create_publisher(PointCloud2, "lidar/points", 1)
    for number in range(1000):
        publisher.publish(PointCloud2(width=1000 + number))
        time.sleep(0.02)
        rclpy.spin_once(node, timeout_sec=0.0)
        if not wanted.flood(LIDAR):
            break
    assert told[-1] == (LIDAR, "") and clouds[-1].width >= 1000


def test_a_sensor_that_is_taken_out_while_it_is_left_alone_stays_out(node):
    wanted = subscriptions(node)
    wanted.start()
    timers = len(list(node.timers))
    assert flooded(node, wanted)
    assert len(list(node.timers)) == timers + 1
    wanted.remove(LIDAR)
    assert len(list(node.timers)) == timers and wanted.flood(LIDAR) == ""


def test_the_log_is_told_the_topic_and_how_many_publish_there(node):
    wanted = subscriptions(node)
    assert wanted.where(LIDAR) == ""
    wanted.start()
    assert wanted.where(LIDAR) == " on /car/lidar/points (0 publishers)"
    node.create_publisher(PointCloud2, "lidar/points", 1)
    assert wanted.where(LIDAR) == " on /car/lidar/points (1 publisher)"


def test_ready_event_images_have_a_topic_of_their_own():
    assert topic_of(EVENT, from_values({"event.type": "image"})) == "event/image"
    assert topic_of(EVENT, from_values({})) == "event/packets"
    assert topic_of(RGB, from_values({"rgb.transport": "compressed"})) == "rgb/image"


def test_a_topic_of_a_parameter_is_taken_as_it_is():
    parameters = from_values({"rgb.topic": "/cam/image_rect/compressed"})
    assert topic_of(RGB, parameters) == "/cam/image_rect/compressed"
    assert topic_of(LIDAR, parameters) == "lidar/points"
    assert topic_of(EVENT, from_values({"event.type": "image"})) == "event/image"
