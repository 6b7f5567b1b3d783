"""The recorder keeps masks and statuses with their arrival, and writes all it hears to a bag."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="the recorder subscribes over DDS: needs rclpy")

import rclpy
import ros_vehicle
from sensor_msgs.msg import Image

from any2seg_ros.bags import BagReader
from any2seg_ros.demo.recorder import Recorder
from any2seg_ros.msg import ModalityStatus, SegmentationStatus
from any2seg_ros.types import Modality


def published() -> tuple[Image, SegmentationStatus]:
    """A mask of 2 x 3 pixels and its status: RGB used, LiDAR missing."""
    mask = Image(height=2, width=3, step=3, encoding="mono8", data=bytes(range(6)))
    status = SegmentationStatus(mean_confidence=0.5)
    status.modalities = [
        ModalityStatus(modality="rgb", availability=ModalityStatus.OK, weight=1.0),
        ModalityStatus(modality="lidar", availability=ModalityStatus.MISSING, reason="silent"),
    ]
    for message in (mask, status):
        message.header.stamp.sec, message.header.frame_id = 7, "camera"
    return mask, status


def test_what_the_node_publishes_is_kept_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ros_vehicle.isolate(monkeypatch)
    rclpy.init()
    talker, listener = rclpy.create_node("talker"), rclpy.create_node("listener")
    recorder = Recorder(listener, tmp_path / "bag")
    before = time.time_ns()
    try:
        masks = talker.create_publisher(Image, "/segmenter/mask", 10)
        statuses = talker.create_publisher(SegmentationStatus, "/segmenter/status", 10)
        mask, status = published()
        end = time.monotonic() + 20
        while not (recorder.recording.masks and recorder.recording.statuses):
            assert time.monotonic() < end
            masks.publish(mask)
            statuses.publish(status)
            time.sleep(0.05)
    finally:
        recorder.close()
        talker.destroy_node()
        listener.destroy_node()
        rclpy.try_shutdown()
    image, said = recorder.recording.masks[0], recorder.recording.statuses[0]
    assert image.pixels.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (image.stamp, image.frame_id) == (7_000_000_000, "camera")
    assert before <= image.arrival <= time.time_ns()
    assert said.weights == {Modality.RGB: 1.0} and said.reasons == {Modality.LIDAR: "silent"}
    with BagReader(tmp_path / "bag") as reader:
        kept = list(reader.messages(["/segmenter/mask"]))
    assert len(kept) == len(recorder.recording.masks)
    assert kept[0].message.data.tolist() == list(range(6))
