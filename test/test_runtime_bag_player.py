"""A bag as the node would hear it: which topics count, what is assumed, and what is noted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_drive

from any2seg_ros.bags import BagFile
from any2seg_ros.messages.kinds import CAMERA_INFO, FFMPEG, VIDEO
from any2seg_ros.messages.making import camera_info_message
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.runtime.bag_player import DAY, BagPlayer, is_clock
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.types import Camera, Frame, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
SECOND = 1_000_000_000


def play(bag: Path, **values: Any) -> tuple[BagPlayer, list[Frame]]:
    preparation = Preparation((64, 64), PreprocessingConfig())
    player = BagPlayer(bag, preparation, parameters=from_values(values))
    return player, [step.frame for step in player.frames() if step.frame is not None]


def test_a_camera_info_that_changes_on_the_way_changes_the_frames_a_second_later(tmp_path) -> None:
    rows = tiny_drive.rows(30)
    infos = [message for _, topic, message in rows if topic == "/rgb/camera_info"]
    for message in infos[4:]:
        message.k[0] = message.k[4] = 90.0
    _, frames = play(tiny_drive.write(tmp_path / "bag", rows))
    focal = [frame.calibration.reference.fx for frame in frames if RGB in frame.subset]
    assert focal == [60.0] * focal.count(60.0) + [90.0] * focal.count(90.0)
    assert len(focal) == 30 and 14 <= focal.count(60.0) <= 16


def test_transforms_on_tf_are_heard_as_those_on_tf_static_are(tmp_path) -> None:
    """A second LiDAR pose comes on the way: the vehicle has been told anew where it stands."""
    rows = tiny_drive.rows(30)
    moved = tiny_drive.transforms()
    moved.transforms[-1].transform.translation.z = 3.5
    late = tiny_drive.START + 15 * tiny_drive.PERIOD
    rows = sorted([*rows, (late, "/tf_static", moved)], key=lambda row: row[0])
    _, frames = play(tiny_drive.write(tmp_path / "bag", rows))
    heights = [frame.calibration.poses[LIDAR][1, 3] for frame in frames if LIDAR in frame.subset]
    assert heights[0] == pytest.approx(-1.0) and heights[-1] == pytest.approx(-2.0)


def test_a_broken_message_costs_itself_alone_and_is_counted(tmp_path) -> None:
    rows = tiny_drive.rows(6)
    clouds = [message for _, topic, message in rows if topic == "/lidar/points"]
    clouds[2].header.stamp.sec = clouds[2].header.stamp.nanosec = 0
    clouds[3].header.stamp.sec += 100
    player, frames = play(tiny_drive.write(tmp_path / "bag", rows))
    assert dict(player.unusable) == {
        "lidar: stamp is zero": 1,
        "lidar: stamp is in the future": 1,
    }
    assert sum(RGB in frame.subset for frame in frames) == 6


def test_depth_without_a_camera_info_is_taken_to_be_registered(tmp_path) -> None:
    bag = tiny_drive.write(
        tmp_path / "bag", tiny_drive.rows(4), lambda topic: topic != "/depth/camera_info"
    )
    player, frames = play(bag)
    assert any("depth: assumed registered" in note for note in player.notes)
    assert sum(DEPTH in frame.subset for frame in frames) >= 3


def test_the_nodes_reference_file_is_neither_read_nor_written(tmp_path) -> None:
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(3))
    play(bag, reference_file=str(tmp_path / "camera.json"))
    assert not (tmp_path / "camera.json").exists()


def times(count: int = 100, step: int = SECOND // 10, log_step: int | None = None, ahead: int = 0):
    begin = 1_700_000_000 * SECOND
    log_step = step if log_step is None else log_step
    return [(begin + k * log_step - ahead, begin + k * step) for k in range(count)]


@pytest.mark.parametrize(
    ("seen", "clock"),
    [
        (times(), True),
        (times(ahead=2 * SECOND), True),  # a sensor's clock may be wrong
        (times(ahead=2 * DAY), False),  # recorded anew on another day
        (times(log_step=0), False),  # converted in one go
        (times(log_step=SECOND // 1000), False),
        (times(3), True),
        ([*times(), (1_700_000_010 * SECOND, 0), (1_700_000_010 * SECOND, 2**62)], True),
    ],
)
def test_log_times_are_a_clock_if_they_run_with_the_stamps(seen, clock) -> None:
    assert is_clock(seen) == clock


@pytest.mark.parametrize("kind", ["foxglove", "ffmpeg"])
def test_a_camera_may_be_recorded_as_video(tmp_path, kind) -> None:
    pytest.importorskip("av", reason="PyAV is not here: requirements-video.txt")
    from test_messages_video import encoded, scene

    bag = BagFile(tmp_path / "bag")
    camera = Camera(192, 144, 100.0, 100.0, 95.5, 71.5)
    with contextlib.closing(bag):
        for index, packet in enumerate(encoded("h264")[:20]):
            stamp = 10**18 + index * 33_000_000
            header, data = bag.header(stamp, "cam"), np.frombuffer(packet, np.uint8)
            info = camera_info_message(bag.message, header, camera)
            bag.write("/cam/camera_info", CAMERA_INFO, stamp, bag.serialized(info, CAMERA_INFO))
            if kind == "foxglove":
                name, topic = VIDEO, "/cam/video"
                fields = {"timestamp": header.stamp, "frame_id": "cam", "format": "h264"}
            else:
                name, topic = FFMPEG, "/cam/image_raw/ffmpeg"
                fields = {"header": header, "width": 192, "height": 144, "encoding": "libx264",
                          "pts": index, "flags": 0, "is_bigendian": False}  # fmt: skip
            message = bag.message(name, **fields, data=data)
            bag.write(topic, name, stamp, bag.serialized(message, name))
    preparation = Preparation((96, 64), PreprocessingConfig())
    player = BagPlayer(tmp_path / "bag", preparation)
    pictures = [
        preparation.prepare(step.frame).frame.measurements[Modality.RGB].data
        for step in player.frames()
        if step.frame is not None
    ]
    assert len(pictures) >= 19
    assert all(np.abs(p.astype(int) - scene(i)).mean() < 2.5 for i, p in enumerate(pictures))
