"""`any2seg inspect --live` hears what processes really publish over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
import tiny_drive  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, PointCloud2  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from any2seg_ros.bags import BagReader  # noqa: E402
from any2seg_ros.cli import main  # noqa: E402
from any2seg_ros.inspection import inspect_bag  # noqa: E402
from any2seg_ros.messages.offers import Offer  # noqa: E402
from any2seg_ros.node.recording import GraphRecorder  # noqa: E402
from any2seg_ros.runtime.parameters import load_parameters  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

PLAY = Path(__file__).with_name("play_drive.py")


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    ros_vehicle.isolate(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()


@pytest.fixture
def playing(tmp_path):
    """A process that plays a drive."""
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(20))
    process = subprocess.Popen([sys.executable, str(PLAY), str(bag), "120"])
    yield process
    process.kill()
    process.wait()


def test_a_live_graph_is_shown_and_its_parameters_are_written(playing, tmp_path, capsys):
    file, page = tmp_path / "vehicle.yaml", tmp_path / "look.html"
    arguments = ["inspect", "--live", "--write-params", str(file), "--page", str(page)]
    for seconds in ("5", "20", "60"):  # more where the machine is busy
        assert main([*arguments, "--seconds", seconds]) in (0, 2)
        if file.exists() and len(load_parameters(file).topics()) == len(Modality):
            break
    said = capsys.readouterr().out
    assert (
        "live topics: " in said
        and "/lidar/points" in said
        and "PointCloud2" in said
        and "reliable, latched" in said
    )
    parameters = load_parameters(file)
    assert parameters.topics() == {
        "rgb": "/rgb/image/compressed",
        "depth": "/depth/image/compressedDepth",
        "lidar": "/lidar/points",
        "event": "/event/packets",
    }
    assert "<td>/rgb/image/compressed</td><td>CompressedImage</td><td>rgb</td>" in page.read_text()
    assert not list((tmp_path / "tmp").iterdir())


def test_ctrl_c_ends_it_and_leaves_nothing_behind(playing, tmp_path):
    folder = tmp_path / "tmp"
    process = subprocess.Popen(
        [sys.executable, "-m", "any2seg_ros.cli", "inspect", "--live", "--seconds", "600"],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    end = time.monotonic() + 120
    while not any(folder.glob("*/live/*.mcap")) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in error
    assert not list(folder.iterdir())


def test_where_nothing_is_heard_that_is_one_line(capsys):
    assert main(["inspect", "--live", "--seconds", "1"]) == 2
    assert "no sensor was heard" in capsys.readouterr().err
    assert main(["inspect"]) == 2 and main(["inspect", "bag", "--live"]) == 2


class Recording:
    """A recorder, and a driver in the same process."""

    def __init__(self, folder: Path) -> None:
        rclpy.init()
        self.driver = rclpy.create_node("driver", namespace="/car")
        self.node = rclpy.create_node("any2seg_inspect")
        self.folder = folder
        self.recorder = GraphRecorder(self.node, folder)

    def until(self, condition) -> bool:
        for _ in range(60):
            self.recorder.run(0.3)
            if condition():
                return True
        return False

    def end(self):
        graph = self.recorder.graph()
        self.recorder.close()
        return graph

    def counts(self, topic: str) -> int:
        heard = self.recorder._heard.get(topic)
        return heard.count if heard else 0


@pytest.fixture
def recording(tmp_path):
    made = Recording(tmp_path / "live")
    yield made
    made.driver.destroy_node()
    made.node.destroy_node()
    rclpy.try_shutdown()


def test_publishers_of_any_qos_are_heard_and_told(recording):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    unsure = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    kept = recording.driver.create_publisher(CameraInfo, "/front/camera_info", latched)
    kept.publish(CameraInfo(width=1))
    assert recording.until(lambda: recording.counts("/front/camera_info") == 1)
    other = recording.driver.create_publisher(CameraInfo, "/front/camera_info", unsure)
    other.publish(CameraInfo(width=2))

    def hears_both() -> bool:
        other.publish(CameraInfo(width=2))
        return recording.counts("/front/camera_info") >= 4

    assert recording.until(hears_both)
    graph = recording.end()
    assert graph.offers["/front/camera_info"] == (Offer(True, True), Offer(False, False))
    with BagReader(recording.folder) as bag:
        assert {recorded.message.width for recorded in bag.messages()} == {1, 2}


def test_what_is_not_read_and_who_is_deaf_is_told(recording):
    unsure = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    points = recording.driver.create_publisher(PointCloud2, "/lidar/points", unsure)
    recording.driver.create_publisher(String, "/chatter", 1)
    recording.driver.create_publisher(Image, "/rgb/image_raw", 1)
    recording.driver.create_subscription(PointCloud2, "/lidar/points", lambda _: None, 1)

    def hears() -> bool:
        points.publish(PointCloud2())
        return recording.counts("/lidar/points") > 0

    assert recording.until(hears)
    graph = recording.end()
    found = inspect_bag(recording.folder, None, graph)
    assert found.layout.sensors == {Modality.LIDAR: "/lidar/points"}
    assert found.topics["/chatter"].count == 0 and found.topics["/rgb/image_raw"].count == 0
    assert any("/rgb/image_raw (no messages)" in note for note in found.notes)
    said = [f"{problem}: {mend}" for problem, mend in found.problems]
    deaf = "/car/driver does not hear /car/driver on /lidar/points: incompatible QoS"
    assert any(deaf in one and "asked for (reliable, volatile)" in one for one in said), said
    assert any("offered (best effort, volatile)" in one for one in said)
