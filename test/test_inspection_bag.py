"""What a look at a bag says, of drives with one thing wrong each."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import tiny_drive

from any2seg_ros.inspection import inspect_bag
from any2seg_ros.types import Modality


def look(tmp_path, rows):
    return inspect_bag(tiny_drive.write(tmp_path / "bag", rows))


def test_a_sound_drive_has_no_problems_and_every_topic_its_role(tmp_path):
    found = look(tmp_path, tiny_drive.rows(20))
    assert found.problems == []
    roles = {topic: found.role(topic) for topic in found.topics}
    assert roles["/rgb/image/compressed"] == "rgb"
    assert roles["/depth/camera_info"] == "depth's camera_info"
    assert roles["/ground_truth/label/compressed"] == "ground truth"
    assert roles["/tf_static"] == ""
    assert found.sensor(Modality.LIDAR).topic == "/lidar/points"
    assert found.calibration.reference is not None and found.duration > 1.5


def without(rows, topic):
    return [row for row in rows if row[1] != topic]


def stamped(rows, topic, seconds):
    for _, name, message in rows:
        if name == topic:
            message.header.stamp.sec += seconds
    return rows


def changed(rows, topic, **fields):
    for _, name, message in rows:
        if name == topic:
            for field, value in fields.items():
                setattr(message, field, value)
    return rows


def blind(rows, level):
    picture = np.full((tiny_drive.HEIGHT, tiny_drive.WIDTH, 3), level, np.uint8)
    data = cv2.imencode(".png", picture)[1].ravel()
    return changed(rows, "/rgb/image/compressed", data=data)


def behind(rows):
    for _, topic, message in rows:
        if topic == "/lidar/points":
            points = message.data.view("<f4").reshape(message.width, -1)
            points[:, 0] = -np.abs(points[:, 0])
    return rows


def wiped(rows):
    for _, topic, message in rows:
        if topic == "/rgb/image/compressed":
            message.data = np.zeros(40, np.uint8)
    return rows


@pytest.mark.parametrize(
    ("change", "problem", "mend"),
    [
        (lambda r: without(r, "/tf_static"), "has no transform to the camera", "lidar.extrinsics"),
        (lambda r: without(r, "/rgb/camera_info"), "has no camera_info", "reference_k"),
        (lambda r: stamped(r, "/lidar/points", 2), "s in the future", "lidar.offset to -"),
        (lambda r: stamped(r, "/lidar/points", -(10**8)), "are of another clock", "PTP"),
        (lambda r: [x for i, x in enumerate(r) if not 60 < i < 400], "is silent for up to", "QoS"),
        (wiped, "of rgb cannot be used", "cannot be unpacked"),
        (lambda r: blind(r, 0), "12 of the first 12 messages of rgb", "image is black"),
        (lambda r: blind(r, 255), "messages of rgb cannot be used", "image is saturated"),
        (lambda r: changed(r, "/rgb/camera_info", width=192, height=128), "of rgb cannot be used",
         "another size than its camera_info"),
        (behind, "of lidar cannot be used", "no point"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_do(tmp_path, change, problem, mend):
    found = look(tmp_path, change(tiny_drive.rows(30)))
    assert any(problem in said and mend in todo for said, todo in found.problems), found.problems


def test_a_bag_that_was_cut_off_is_a_problem(tmp_path):
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(30))
    file = next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    found = inspect_bag(bag)
    lost = [said for said, todo in found.problems if "copy the bag again" in todo]
    assert len(lost) == 1 and re.fullmatch(r"\d+ of 511 messages are lost", lost[0]), found.problems
