"""The reference camera is kept over restarts, so that LiDAR alone is segmented from the start."""

from __future__ import annotations

import json
import signal

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
import torch  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from any2seg_ros.modalities import IDENTITY, Availability, Modality, Unusable  # noqa: E402
from any2seg_ros.network import Any2Seg, NetworkConfig  # noqa: E402
from any2seg_ros.network.checkpoints import Metadata, save  # noqa: E402
from any2seg_ros.node.geometry import Geometry  # noqa: E402
from any2seg_ros.parameters import from_values  # noqa: E402
from any2seg_ros.pipeline import Preparation  # noqa: E402
from any2seg_ros.resources import find  # noqa: E402
from any2seg_ros.sensors import PlacingConfig  # noqa: E402

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
    torch.manual_seed(0)
    save(tmp_path / "tiny.safetensors", Any2Seg(NetworkConfig(width=32)), Metadata(size=(96, 64)))
    values = {"model": tmp_path / "tiny.safetensors", "engine": "torch", "device": "cpu"}
    values |= {"threads": 1, "deadline": 1.0, "period": ros_vehicle.PERIOD}
    values |= {"reference_file": tmp_path / "kept" / "camera.json"}
    given = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return ["--params-file", str(find("config/demo.yaml")), *given]


def test_lidar_alone_is_segmented_by_a_node_that_was_killed_and_never_hears_the_camera_again(
    vehicle, arguments, tmp_path
) -> None:
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
    with ros_vehicle.NodeProcess(tmp_path / "second.log", *arguments) as node:
        assert vehicle.wait(lambda: vehicle.heard["mask"] or not node.lives, 90)
        assert node.lives, node.log.read_text()
        mask = vehicle.heard["mask"][-1]
        assert (mask.header.frame_id, mask.width, mask.height) == ("lidar", 64, 48)


def test_a_file_that_holds_no_camera_is_said_and_made_anew(vehicle, arguments, tmp_path) -> None:
    path = tmp_path / "kept" / "camera.json"
    path.parent.mkdir()
    path.write_text('{"frame": "rgb_camera_optical", "camera": {"width": 64')
    vehicle.alive = {RGB, LIDAR}
    with ros_vehicle.NodeProcess(tmp_path / "node.log", *arguments) as node:
        assert vehicle.wait(lambda: vehicle.heard["mask"] or not node.lives, 90)
        assert "holds no reference camera, it is made anew" in node.log.read_text()
    assert json.loads(path.read_text())["camera"]["width"] == 64


@pytest.fixture
def node(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    node = rclpy.create_node("geometry")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def test_activated_again_it_knows_the_reference_frame_and_forgets_the_sensors(node) -> None:
    pipeline = Preparation((96, 64), PlacingConfig())
    first = Geometry(node, from_values({}), pipeline)
    first.hear_info(RGB, camera_info("camera"))
    first.stop()
    pipeline.poses[LIDAR] = IDENTITY
    again = Geometry(node, from_values({}), pipeline)
    assert again.reference_frame == "camera" and pipeline.reference is not None
    assert not pipeline.poses and not pipeline.cameras
    again.stop()


def test_why_the_reference_camera_is_unknown_is_said(node) -> None:
    geometry = Geometry(node, from_values({}), Preparation((96, 64), PlacingConfig()))
    with pytest.raises(Unusable, match="unknown: no camera_info yet"):
        geometry.locate(LIDAR, "lidar")
    with pytest.raises(Unusable):
        geometry.hear_info(RGB, camera_info("camera", focal=0.0))
    with pytest.raises(Unusable, match="unknown: camera_info is not calibrated"):
        geometry.locate(LIDAR, "lidar")
    geometry.stop()


def test_a_reference_camera_without_a_frame_names_the_parameter(node) -> None:
    given = {"reference_width": 64, "reference_height": 48, "reference_k": "40 40 31.5 23.5"}
    geometry = Geometry(node, from_values(given), Preparation((96, 64), PlacingConfig()))
    with pytest.raises(Unusable, match="set reference_frame"):
        geometry.locate(LIDAR, "lidar")
    geometry.stop()


def camera_info(frame: str, focal: float = 40.0) -> CameraInfo:
    k = [focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0]
    return CameraInfo(header=Header(frame_id=frame), width=64, height=48, k=k)
