"""The reference camera over a restart, and transforms as the node hears them."""

from __future__ import annotations

import json
import signal
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import numpy as np  # noqa: E402
import ros_vehicle  # noqa: E402
from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from rclpy.time import Time  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from any2seg_ros.node.calibration_listener import CalibrationListener  # noqa: E402
from any2seg_ros.node.floods import FloodGuard, FloodLimits  # noqa: E402
from any2seg_ros.runtime.frame_tree import FrameTree  # noqa: E402
from any2seg_ros.runtime.transform_history import TransformHistory  # noqa: E402
from any2seg_ros.types import Availability, Modality  # noqa: E402

RGB, LIDAR = Modality.RGB, Modality.LIDAR


@pytest.fixture
def vehicle(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    vehicle = ros_vehicle.Vehicle()
    yield vehicle
    vehicle.close()
    rclpy.try_shutdown()


@pytest.fixture
def arguments(tmp_path):
    file = tmp_path / "kept" / "camera.json"
    return ros_vehicle.arguments_of(model=ros_vehicle.tiny_model(tmp_path), reference_file=file)


def test_lidar_alone_is_segmented_by_a_node_that_was_killed_and_never_hears_the_camera_again(
    vehicle, arguments, tmp_path
) -> None:
    """In processes of their own: the first one is killed."""
    vehicle.alive = {LIDAR}
    with ros_vehicle.NodeProcess(tmp_path / "first.log", *arguments) as node:
        unknown = "reference camera is unknown"
        assert vehicle.wait(lambda: vehicle.heard["status"] or not node.lives, 90)
        assert vehicle.wait(lambda: vehicle.says(LIDAR, Availability.INVALID, unknown), 30)
        vehicle.alive = {RGB, LIDAR}
        assert vehicle.wait(lambda: vehicle.heard["mask"], 60), node.log.read_text()
        node.end(signal.SIGKILL)
    kept = json.loads((tmp_path / "kept" / "camera.json").read_text())
    assert kept["frame"] == ros_vehicle.FRAMES[RGB] and kept["camera"]["width"] == 64
    vehicle.alive = {LIDAR}
    vehicle.clear()
    with ros_vehicle.NodeInProcess(*arguments) as again:
        assert vehicle.wait(lambda: vehicle.heard["mask"], 90), again.log
        mask = vehicle.heard["mask"][-1]
        assert (mask.header.frame_id, mask.width, mask.height) == ("lidar", 64, 48)


def test_a_file_that_holds_no_camera_is_said_and_replaced(vehicle, arguments, tmp_path) -> None:
    path = tmp_path / "kept" / "camera.json"
    path.parent.mkdir()
    path.write_text('{\n  "any2seg": "reference camera",\n  "camera": {"width": 64')
    vehicle.alive = {RGB, LIDAR}
    with ros_vehicle.NodeInProcess(*arguments) as node:
        assert vehicle.wait(lambda: vehicle.heard["mask"], 90), node.log
        assert "holds no reference camera and will be replaced" in node.log
    assert json.loads(path.read_text())["camera"]["width"] == 64


@pytest.fixture
def heard(monkeypatch):
    """(listener, tell): what hears TF, and what publishes a transform until it was heard."""
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("listener")
    listener = CalibrationListener(node)
    listener.start()
    publishers = {topic: node.create_publisher(TFMessage, topic, 10) for topic in ("/tf",)}
    publishers["/tf_static"] = node.create_publisher(TFMessage, "/tf_static", ros_vehicle.LATCHED)

    def tell(
        topic: str, parent: str, child: str, x: float, tries: int = 200, times: int = 1
    ) -> None:
        transform = TransformStamped(child_frame_id=child)
        transform.header.frame_id, transform.header.stamp.sec = parent, 100
        transform.transform.translation.x, transform.transform.rotation.w = x, 1.0
        for _ in range(tries):
            for _ in range(times):
                publishers[topic].publish(TFMessage(transforms=[transform]))
                rclpy.spin_once(node, timeout_sec=0.0 if times > 1 else 0.1)
            try:
                if listener.lookup(parent, child)[0, 3] == x:
                    return
            except LookupError:
                pass
        raise TimeoutError(f"{topic} was not heard")

    yield listener, tell
    listener.stop()
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.mark.parametrize("topic", ["/tf", "/tf_static"])
def test_the_newest_transform_is_found_on_either_topic(heard, topic) -> None:
    listener, tell = heard
    tell(topic, "camera", "lidar", 1.5)
    expected = np.eye(4)
    expected[0, 3] = 1.5
    np.testing.assert_allclose(listener.lookup("camera", "lidar"), expected)
    with pytest.raises(LookupError, match="sonar"):
        listener.lookup("camera", "sonar")


@pytest.mark.parametrize(
    ("topic", "profile"),
    [
        ("/tf_static", QoSProfile(depth=10)),
        ("/tf_static", QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)),
        ("/tf", QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)),
    ],
)
def test_transforms_of_publishers_with_another_qos_are_heard(monkeypatch, topic, profile) -> None:
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("listener")
    listener = CalibrationListener(node)
    listener.start()
    transform = TransformStamped(child_frame_id="lidar")
    transform.header.frame_id, transform.header.stamp.sec = "camera", 100
    transform.transform.translation.x, transform.transform.rotation.w = 1.5, 1.0
    publisher = node.create_publisher(TFMessage, topic, profile)
    found = None
    for _ in range(300):
        listener.adapt()
        publisher.publish(TFMessage(transforms=[transform]))
        rclpy.spin_once(node, timeout_sec=0.1)
        try:
            found = listener.lookup("camera", "lidar")
            break
        except LookupError:
            pass
    node.destroy_publisher(publisher)
    listener.adapt()
    heard = node.get_subscriptions_info_by_topic(topic)
    listener.stop()
    node.destroy_node()
    rclpy.try_shutdown()
    assert found is not None and found[0, 3] == 1.5
    assert len(heard) == 1


def test_a_time_that_is_over_is_forgotten_and_what_is_static_stays(heard) -> None:
    listener, tell = heard
    tell("/tf_static", "camera", "lidar", 1.0)
    tell("/tf", "camera", "gripper", 2.0)
    listener.forget()
    assert listener.lookup("camera", "lidar")[0, 3] == 1.0
    with pytest.raises(LookupError):
        listener.lookup("camera", "gripper")


def test_a_loop_in_tf_leaves_the_transforms_as_they_were_and_is_told(heard) -> None:
    listener, tell = heard
    tell("/tf_static", "base", "camera", 1.0)
    tell("/tf_static", "camera", "lidar", 2.0)
    with pytest.raises(TimeoutError):
        tell("/tf", "lidar", "base", 3.0, tries=10)
    assert listener.lookup("base", "lidar")[0, 3] == 3.0
    assert "closes a loop" in listener.notes[0] and len(listener.notes) <= 2


def feed(listener, topic: str, x: float, child: str = "lidar", stamp: int = 0) -> None:
    """One message, as the middleware hands it over; stamp: ns ahead of the node's clock."""
    transform = TransformStamped(child_frame_id=child)
    now = listener._node.get_clock().now().nanoseconds
    transform.header.frame_id = "camera"
    transform.header.stamp = Time(nanoseconds=now + stamp).to_msg()
    transform.transform.translation.x, transform.transform.rotation.w = x, 1.0
    listener._on_message(topic, serialize_message(TFMessage(transforms=[transform])))


def test_a_static_transform_stays_whatever_tf_says_and_can_be_told_again(heard) -> None:
    listener, _ = heard
    feed(listener, "/tf_static", 1.0)
    for _ in range(5):
        feed(listener, "/tf", 9.0)
        assert listener.lookup("camera", "lidar")[0, 3] == 1.0
    assert listener.notes == ["'lidar' is static in TF: what moves it is ignored"]
    feed(listener, "/tf_static", 2.0)
    assert listener.lookup("camera", "lidar")[0, 3] == 2.0


def test_a_stray_transform_before_the_static_one_leaves_no_trace(heard) -> None:
    listener, _ = heard
    feed(listener, "/tf", 9.0, stamp=1_000_000_000)
    feed(listener, "/tf_static", 1.0, stamp=-100_000_000_000)
    assert listener.lookup("camera", "lidar")[0, 3] == 1.0


def test_a_stamp_of_the_far_future_does_not_freeze_a_pose(heard) -> None:
    listener, _ = heard
    for x in (1.0, 2.0, 3.0):
        feed(listener, "/tf", x)
        feed(listener, "/tf", 9.0, stamp=3_600_000_000_000)
        assert listener.lookup("camera", "lidar")[0, 3] == x
    assert "ahead of the clock by 3600.0 s" in listener.notes[0] and len(listener.notes) <= 2


def test_a_sensor_that_comes_after_many_frames_that_ended_has_its_pose(heard, monkeypatch) -> None:
    listener, _ = heard
    history = TransformHistory("camera")
    listener._history, listener._tree = history, FrameTree(history.drop)
    now = SimpleNamespace(monotonic_ns=lambda: now.ns, ns=10**12)
    monkeypatch.setattr("any2seg_ros.node.calibration_listener.time", now)
    for k in range(5):
        objects = [TransformStamped(child_frame_id=f"object_{k}_{n}") for n in range(1500)]
        for transform in objects:
            transform.header.frame_id, transform.transform.rotation.w = "camera", 1.0
        listener._on_message("/tf", serialize_message(TFMessage(transforms=objects)))
        now.ns += 11 * 10**9
    feed(listener, "/tf", 3.0)
    assert listener.lookup("camera", "lidar")[0, 3] == 3.0
    assert "lidar" in history._frames and not listener.notes
    with pytest.raises(LookupError):  # nor does tf2 keep all of their names
        listener.lookup("camera", "object_0_0")


def test_a_message_of_more_transforms_than_a_vehicle_has_is_not_even_read(heard) -> None:
    listener, tell = heard
    tell("/tf", "camera", "lidar", 1.0)
    many = [TransformStamped(child_frame_id=f"frame_{n}") for n in range(2001)]
    for transform in many:
        transform.header.frame_id, transform.header.stamp.sec = "camera", 100
        transform.transform.rotation.w = 1.0
    for _ in range(3):
        listener._on_message("/tf", serialize_message(TFMessage(transforms=many)))
    assert listener.notes == ["more than 2000 frames in TF, by one message: ignored"]
    with pytest.raises(LookupError):
        listener.lookup("camera", "frame_0")
    listener._on_message("/tf", serialize_message(TFMessage(transforms=many[:2])))
    assert listener.lookup("camera", "frame_0")[0, 3] == 0.0


def test_a_flood_of_tf_is_not_listened_to_and_known_poses_stay(heard) -> None:
    listener, tell = heard
    listener._guards["/tf"] = FloodGuard(FloodLimits(messages=50, burst=20))
    tell("/tf_static", "camera", "lidar", 1.0)
    tell("/tf", "camera", "gripper", 2.0, times=1000)
    said = "/tf is flooded: not listened to while above 50 messages/s, for 1 s"
    assert any(said in note for note in listener.notes)
    assert listener.lookup("camera", "lidar")[0, 3] == 1.0
    tell("/tf", "camera", "gripper", 3.0)


def test_a_flood_that_goes_on_is_left_alone_longer_and_one_much_later_is_not(heard) -> None:
    listener, _ = heard
    second, now = 1_000_000_000, 5_000_000_000
    pauses = []
    for after in (0, 1, 2, 4, 30):
        now += after * second
        listener._guards["/tf"] = FloodGuard(FloodLimits(messages=1, burst=0))
        assert listener._is_flood("/tf", 100, now)
        pauses.append(listener._pauses["/tf"][0])
        listener._again("/tf")
    assert pauses == [1, 2, 4, 8, 1]
