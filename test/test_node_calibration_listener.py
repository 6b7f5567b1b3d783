"""The reference camera is kept over restarts, so that LiDAR alone is segmented from the start."""

from __future__ import annotations

import json
import signal

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import numpy as np  # noqa: E402
import ros_vehicle  # noqa: E402
import torch  # noqa: E402
from geometry_msgs.msg import TransformStamped  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from any2seg_ros.network import Any2Seg, NetworkConfig  # noqa: E402
from any2seg_ros.network.checkpoints import Metadata, save  # noqa: E402
from any2seg_ros.node.calibration_listener import CalibrationListener  # noqa: E402
from any2seg_ros.preprocessing import PreprocessingConfig  # noqa: E402
from any2seg_ros.resources import find  # noqa: E402
from any2seg_ros.runtime.parameters import from_values  # noqa: E402
from any2seg_ros.runtime.pipeline import Preparation  # noqa: E402
from any2seg_ros.types import IDENTITY, Availability, InvalidMeasurement, Modality  # noqa: E402

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
    pipeline = Preparation((96, 64), PreprocessingConfig())
    first = CalibrationListener(node, from_values({}), pipeline)
    first.hear_info(RGB, camera_info("camera"))
    first.stop()
    pipeline.poses[LIDAR] = IDENTITY
    again = CalibrationListener(node, from_values({}), pipeline)
    assert again.reference_frame == "camera" and pipeline.reference is not None
    assert not pipeline.poses and not pipeline.cameras
    again.stop()


def test_why_the_reference_camera_is_unknown_is_said(node) -> None:
    geometry = CalibrationListener(
        node, from_values({}), Preparation((96, 64), PreprocessingConfig())
    )
    with pytest.raises(InvalidMeasurement, match="unknown: no camera_info yet"):
        geometry.locate(LIDAR, "lidar")
    with pytest.raises(InvalidMeasurement):
        geometry.hear_info(RGB, camera_info("camera", focal=0.0))
    with pytest.raises(InvalidMeasurement, match="unknown: camera_info is not calibrated"):
        geometry.locate(LIDAR, "lidar")
    geometry.stop()


def test_a_reference_camera_without_a_frame_names_the_parameter(node) -> None:
    given = {"reference_width": 64, "reference_height": 48, "reference_k": "40 40 31.5 23.5"}
    geometry = CalibrationListener(
        node, from_values(given), Preparation((96, 64), PreprocessingConfig())
    )
    with pytest.raises(InvalidMeasurement, match="set reference_frame"):
        geometry.locate(LIDAR, "lidar")
    geometry.stop()


@pytest.fixture
def pipeline() -> Preparation:
    return Preparation((96, 64), PreprocessingConfig())


@pytest.fixture
def open_geometry(node, pipeline):
    """Makes a CalibrationListener of some parameters; a second one is the node restarted."""
    opened = []

    def make(**values) -> CalibrationListener:
        pipeline.reference, pipeline.reference_frame = None, ""
        opened.append(CalibrationListener(node, from_values(values), pipeline))
        return opened[-1]

    yield make
    for geometry in opened:
        geometry.stop()


def see(geometry: CalibrationListener, pipeline: Preparation, width: int, height: int) -> None:
    """An image of RGB, as the node takes it."""
    msg = Image(header=Header(frame_id="camera"), width=width, height=height)
    msg.header.stamp.sec = 1
    pipeline.admit(RGB, msg, 0)
    geometry.locate(RGB, "camera")


def test_a_change_of_the_reference_camera_waits_for_others_that_agree(
    open_geometry, pipeline, tmp_path
) -> None:
    path = tmp_path / "camera.json"
    geometry = open_geometry(reference_file=str(path))
    geometry.hear_info(RGB, camera_info("camera"))
    assert pipeline.reference.width == 64  # the first one at once: LiDAR alone must live
    for _ in range(4):
        for absurd in ({"width": 7000, "height": 7000, "focal": 5000.0}, {"focal": 400.0}):
            geometry.hear_info(RGB, camera_info("nowhere", **absurd))
    assert (pipeline.reference.width, pipeline.reference.fx) == (64, 40.0)
    assert pipeline.cameras[RGB] == pipeline.reference and geometry.reference_frame == "camera"
    assert json.loads(path.read_text())["camera"]["width"] == 64
    for _ in range(3):
        geometry.hear_info(RGB, camera_info("other", width=128, height=96))
    assert pipeline.reference.width == 128 and geometry.reference_frame == "other"
    assert json.loads(path.read_text())["camera"]["width"] == 128


@pytest.mark.parametrize("image_first", [True, False])
def test_a_change_of_the_reference_camera_is_taken_with_an_image_of_its_size(
    open_geometry, pipeline, image_first
) -> None:
    geometry = open_geometry(**{"rgb.extrinsics": "0 0 0 0 0 0 1"})
    geometry.hear_info(RGB, camera_info("camera"))
    see(geometry, pipeline, 64, 48)
    if image_first:
        see(geometry, pipeline, 128, 96)
    geometry.hear_info(RGB, camera_info("camera", width=128, height=96))
    assert (pipeline.reference.width == 128) == image_first
    see(geometry, pipeline, 128, 96)
    assert pipeline.reference.width == 128


def test_a_camera_from_parameters_stays_the_reference_whatever_the_infos_say(
    open_geometry, pipeline, tmp_path
) -> None:
    fixed = {"reference_width": 32, "reference_height": 24, "reference_k": "20 20 15 11"}
    geometry = open_geometry(reference_file=str(tmp_path / "camera.json"), **fixed)
    for _ in range(3):
        geometry.hear_info(RGB, camera_info("camera"))
    assert pipeline.reference.width == 32 and pipeline.cameras[RGB].width == 64
    assert not list(tmp_path.iterdir())


def test_an_info_without_a_frame_leaves_it_to_the_image(open_geometry, pipeline, tmp_path) -> None:
    path = str(tmp_path / "camera.json")
    geometry = open_geometry(reference_file=path)
    geometry.hear_info(RGB, camera_info(""))
    see(geometry, pipeline, 64, 48)
    assert geometry.reference_frame == "camera"
    geometry.hear_info(RGB, camera_info(""))
    assert geometry.reference_frame == "camera"
    assert open_geometry(reference_file=path).reference_frame == "camera"


def test_a_registered_sensor_needs_no_calibration(open_geometry, pipeline) -> None:
    geometry = open_geometry(**{"depth.registered": True})
    geometry.hear_info(Modality.DEPTH, camera_info("depth", focal=0.0))
    assert Modality.DEPTH not in pipeline.cameras


def test_a_pose_is_kept_while_tf_only_trembles(open_geometry, pipeline, monkeypatch) -> None:
    moved = TransformStamped()
    monkeypatch.setattr("tf2_ros.Buffer.lookup_transform", lambda *_: moved)
    geometry = open_geometry()
    geometry.hear_info(RGB, camera_info("camera"))

    def pose(x: float, angle: float) -> np.ndarray:
        moved.transform.translation.x = x
        moved.transform.rotation.y = np.sin(angle / 2)
        moved.transform.rotation.w = np.cos(angle / 2)
        geometry.forget()
        geometry.locate(LIDAR, "lidar")
        return pipeline.poses[LIDAR]

    first = pose(1.0, 0.2)
    assert pose(1.0005, 0.20001) is first
    assert pose(1.0, 0.202) is not first
    second = pipeline.poses[LIDAR]
    creeping = [pose(1.0 + k * 5e-4, 0.202) for k in range(1, 5)]
    assert creeping[0] is second and abs(creeping[-1][0, 3] - 1.002) < 1e-3


GOOD = {
    "width": 64,
    "height": 48,
    "fx": 40.0,
    "fy": 40.0,
    "cx": 31.5,
    "cy": 23.5,
    "distortion": [],
    "model": "plumb_bob",
}


@pytest.mark.parametrize(
    "kept",
    [
        *(
            {"frame": "camera", "camera": {**GOOD, **change}}
            for change in (
                {"width": 0},
                {"width": "64"},
                {"width": 64.5},
                {"width": float("inf")},
                {"width": 20000, "height": 20000},
                {"fx": float("nan")},
                {"model": "foo"},
                {"model": None},
                {"distortion": None},
                {"lens": "good"},
            )
        ),
        {"frame": None, "camera": GOOD},
        {"camera": GOOD},
    ],
)
def test_a_file_with_an_impossible_camera_is_noted_and_made_anew(
    open_geometry, pipeline, tmp_path, kept
) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(kept))
    geometry = open_geometry(reference_file=str(path))
    assert pipeline.reference is None and not geometry.reference_frame
    (note,) = geometry.notes
    assert "holds no reference camera, it is made anew" in note
    geometry.hear_info(RGB, camera_info("camera"))
    assert json.loads(path.read_text()) == {"frame": "camera", "camera": GOOD}


def test_another_kind_of_file_is_never_overwritten(open_geometry, pipeline, tmp_path) -> None:
    path = tmp_path / "drive.mcap"
    path.write_bytes(b"\x89MCAP0\r\n and a drive")
    geometry = open_geometry(reference_file=str(path))
    geometry.hear_info(RGB, camera_info("camera"))
    assert pipeline.reference is not None
    assert "is another kind of file" in geometry.notes[0]
    assert path.read_bytes() == b"\x89MCAP0\r\n and a drive"


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant", "rational_polynomial"])
def test_what_was_kept_is_the_reference_camera_after_a_restart(
    open_geometry, pipeline, tmp_path, model
) -> None:
    path = str(tmp_path / "camera.json")
    msg = camera_info("camera")
    msg.distortion_model = model
    open_geometry(reference_file=path).hear_info(RGB, msg)
    before = pipeline.reference
    geometry = open_geometry(reference_file=path)
    assert not geometry.notes and geometry.reference_frame == "camera"
    assert pipeline.reference == before


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-at-all/camera.json", "/proc/none/x.json"])
def test_a_path_that_cannot_be_costs_a_note_and_nothing_else(open_geometry, pipeline, name) -> None:
    geometry = open_geometry(reference_file=name)
    geometry.hear_info(RGB, camera_info("camera"))
    assert pipeline.reference.width == 64
    assert any(name in note for note in geometry.notes)


def camera_info(frame: str, focal: float = 40.0, width: int = 64, height: int = 48) -> CameraInfo:
    k = [focal, 0.0, 31.5, 0.0, focal, 23.5, 0.0, 0.0, 1.0]
    return CameraInfo(header=Header(frame_id=frame), width=width, height=height, k=k)
