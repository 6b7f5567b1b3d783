"""What is done to messages: it is what its name says, and nothing else."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import cv2
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2

from any2seg_ros.bench.faults import spoiling
from any2seg_ros.bench.fuzz import samples
from any2seg_ros.messages import decode_cloud, decode_image, from_array, stamp_ns
from any2seg_ros.messages.kinds import HEADER, ros_message
from any2seg_ros.messages.making import time_message
from any2seg_ros.types import InvalidMeasurement

SECOND = 1_000_000_000


def image(stamp: int = SECOND) -> CompressedImage:
    data = cv2.imencode(".jpg", samples.picture(stamp))[1]
    message = CompressedImage(format="jpeg", data=from_array(data))
    message.header = ros_message(HEADER, stamp=time_message(ros_message, stamp), frame_id="camera")
    return message


def stamps(alter, count: int = 6) -> list[float]:
    """Seconds of what is published for messages of the seconds 1, 2, 3, ..."""
    made = chain.from_iterable(alter(image(n * SECOND)) for n in range(1, count + 1))
    return [stamp_ns(message.header.stamp) / SECOND for message in made]


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (spoiling.drop, []),
        (spoiling.twice, [1, 1, 2, 2, 3, 3, 4, 4]),
        (spoiling.shifted(-0.5), [0.5, 1.5, 2.5, 3.5]),
        (spoiling.drifting(0.5), [1, 2.5, 4, 5.5]),
        (spoiling.zero_stamp, [0, 0, 0, 0]),
        (spoiling.swapped(), [2, 1, 4, 3]),
        (spoiling.late(2), [1, 2]),
    ],
)
def test_messages_are_lost_doubled_late_or_of_another_time(alter, expected) -> None:
    assert stamps(alter, 4) == expected


def test_jitter_stays_within_its_limits() -> None:
    moved = np.array(stamps(spoiling.jitter(0.25), 40)) - np.arange(1, 41)
    assert 0.1 < np.abs(moved).max() <= 0.25 and moved.min() < 0 < moved.max()


def test_a_frozen_camera_repeats_its_first_image_with_new_stamps() -> None:
    alter = spoiling.frozen()
    (first,) = alter(image(SECOND))
    data = bytes(first.data)
    (second,) = alter(image(2 * SECOND))
    assert bytes(second.data) == data and stamp_ns(second.header.stamp) == 2 * SECOND


@pytest.mark.parametrize(
    "alter", [spoiling.empty, spoiling.truncated, spoiling.garbage, spoiling.bomb]
)
def test_data_that_are_damaged_are_no_image(alter) -> None:
    (message,) = alter(image())
    with pytest.raises(InvalidMeasurement):
        decode_image(message)


def test_pictures_and_clouds_are_changed_and_stay_what_they_are() -> None:
    (black,) = spoiling.picture(spoiling.filled(0))(image())
    assert not decode_image(black).any()
    made = samples._cloud(SECOND, samples._LAYOUTS[0], 1)
    (nowhere,) = spoiling.points(spoiling.filled(np.inf))(as_cloud(made))
    with pytest.raises(InvalidMeasurement, match="no point with finite coordinates"):
        decode_cloud(nowhere)


def as_cloud(made) -> PointCloud2:
    """A sample as rclpy has it."""
    kept = {k: v for k, v in vars(made).items() if k not in ("header", "fields")}
    fields = [ros_message("sensor_msgs/msg/PointField", **vars(field)) for field in made.fields]
    return PointCloud2(fields=fields, **kept)


def test_what_dds_cannot_decode_are_bytes() -> None:
    (data,) = spoiling.undecodable(image())
    assert isinstance(data, bytes)


def test_one_in_so_many_calibrations_is_another() -> None:
    alter = spoiling.calibration(2, focal=2.0, width=7)
    infos = [alter(CameraInfo(k=np.eye(3).ravel(), p=np.eye(3, 4).ravel()))[0] for _ in range(4)]
    assert [(info.k[0], info.k[8], info.width) for info in infos] == 2 * [(2, 1, 7), (1, 1, 0)]
    assert np.isnan(spoiling.not_numbers(CameraInfo())[0].k).all()
