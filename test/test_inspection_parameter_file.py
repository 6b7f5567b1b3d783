"""The parameters that a look at a bag gives are those that the node and replay take."""

from __future__ import annotations

import pytest
import tiny_drive

from any2seg_ros.inspection import inspect_bag, parameter_file
from any2seg_ros.inspection.offsets import TimeOffset
from any2seg_ros.inspection.parameter_file import parameters_of
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.parameters import load_parameters
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.types import Modality


def renamed(rows, **names):
    return [(t, names.get(topic.strip("/").replace("/", "_"), topic), m) for t, topic, m in rows]


def test_the_file_has_topics_transports_and_what_is_not_there(tmp_path):
    rows = [row for row in tiny_drive.rows(8) if not row[1].startswith("/event")]
    values = parameters_of(inspect_bag(tiny_drive.write(tmp_path / "bag", rows)))
    assert (
        values["rgb.topic"] == "/rgb/image/compressed" and values["rgb.transport"] == "compressed"
    )
    assert values["depth.transport"] == "compressedDepth"
    assert values["depth.camera_info"] == "/depth/camera_info"
    assert values["lidar.topic"] == "/lidar/points" and "lidar.camera_info" not in values
    assert values["event.enabled"] is False
    assert "period" not in values and "deadline" not in values


def test_slow_sensors_that_are_apart_are_waited_for(tmp_path):
    rows = tiny_drive.rows(24)
    for index, (log_time, topic, message) in enumerate(rows):
        late = 80_000_000 if topic == "/lidar/points" else 0
        stamp = message.header.stamp if hasattr(message, "header") else None
        if stamp is not None:
            at = (
                tiny_drive.START + 5 * (stamp.sec * 10**9 + stamp.nanosec - tiny_drive.START) + late
            )
            stamp.sec, stamp.nanosec = divmod(at, 10**9)
        rows[index] = (tiny_drive.START + 5 * (log_time - tiny_drive.START) + late, topic, message)
    rows.sort(key=lambda row: row[0])
    values = parameters_of(inspect_bag(tiny_drive.write(tmp_path / "bag", rows)))
    assert values["period"] == pytest.approx(0.5, abs=0.01)
    assert values["lidar.window"] >= 0.12 and values["deadline"] >= 0.12


def test_a_sensor_that_arrives_late_is_waited_for(tmp_path):
    rows = tiny_drive.rows(12)
    late = [(t + 70_000_000 * (topic == "/lidar/points"), topic, m) for t, topic, m in rows]
    late.sort(key=lambda row: row[0])
    found = inspect_bag(tiny_drive.write(tmp_path / "bag", late))
    assert 0.09 < parameters_of(found)["deadline"] < 0.15


def test_an_offset_of_stamps_is_put_right(tmp_path):
    found = inspect_bag(tiny_drive.write(tmp_path / "bag", tiny_drive.rows(8)))
    assert not any(name.endswith("offset") for name in parameters_of(found))
    found.offsets[Modality.LIDAR] = TimeOffset(Modality.LIDAR, Modality.RGB, 0.043, 0.002, 0.9)
    found.offsets[Modality.DEPTH] = TimeOffset(Modality.DEPTH, Modality.RGB, 0.012, 0.006, 0.9)
    values = parameters_of(found)
    assert values["lidar.offset"] == -0.043 and "depth.offset" not in values


def test_replay_takes_the_file_as_it_is(tmp_path):
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(12))
    file = tmp_path / "vehicle.yaml"
    file.write_text(parameter_file(inspect_bag(bag, {"rgb": "/rgb/image/compressed"})))
    parameters = load_parameters(file)
    player = BagPlayer(bag, Preparation((64, 64), PreprocessingConfig()), parameters=parameters)
    assert player.layout.sensors[Modality.RGB] == "/rgb/image/compressed"
    used = [step.frame.subset for step in player.frames() if step.frame is not None]
    assert sum({Modality.RGB, Modality.LIDAR} <= set(subset) for subset in used) >= 10


def test_topics_and_camera_infos_of_parameters_overrule_the_guess(tmp_path):
    rows = tiny_drive.rows(8)
    rows += [(t, "/other/camera_info", m) for t, topic, m in rows if topic == "/rgb/camera_info"]
    tiny_drive.TYPES.setdefault("/other/camera_info", tiny_drive.TYPES["/rgb/camera_info"])
    bag = tiny_drive.write(tmp_path / "bag", sorted(rows, key=lambda row: row[0]))
    file = tmp_path / "vehicle.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    rgb:\n      camera_info: /other/camera_info\n"
        "      topic: /ground_truth/label/compressed\n"
    )
    player = BagPlayer(
        bag, Preparation((64, 64), PreprocessingConfig()), parameters=load_parameters(file)
    )
    assert player.layout.sensors[Modality.RGB] == "/ground_truth/label/compressed"
    assert player.layout.infos[Modality.RGB] == "/other/camera_info"
