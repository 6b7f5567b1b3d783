"""A drive as a bag: topics, rates, delays, and the same measurements as the scene's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from simulated_street import SETTINGS

from any2seg_ros.bags import BagReader
from any2seg_ros.messages import (
    EventDecoder,
    decode_cloud,
    decode_depth,
    decode_labels,
    decode_sweep,
    stamp_ns,
    transform_matrix,
)
from any2seg_ros.simulation.bag import Recording, made_from, write_bag
from any2seg_ros.simulation.scene import MANIFEST, Scene, SceneSpec

SPEC = SceneSpec("val", 1, "cloud", frames=2, rate=10.0, size=(96, 64))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(SPEC, SETTINGS)


@pytest.fixture(scope="module")
def bag(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags") / "drive"
    write_bag(folder, scene)
    return folder


def recorded(bag: Path, topic: str) -> list:
    with BagReader(bag) as reader:
        return [one.message for one in reader.messages([topic])]


def test_every_sensor_has_its_topic_at_its_rate(bag: Path) -> None:
    with BagReader(bag) as reader:
        counts = Counter({topic: len(recorded(bag, topic)) for topic in reader.topics})
    assert counts == {
        "/rgb/image/compressed": 2, "/rgb/camera_info": 2,
        "/depth/image/compressedDepth": 2, "/depth/camera_info": 2,
        "/lidar/points": 2, "/event/packets": 20, "/event/camera_info": 2,
        "/ground_truth/label/compressed": 2, "/tf_static": 1,
    }  # fmt: skip


def test_messages_decode_to_what_the_scene_measured(bag: Path, scene: Scene) -> None:
    captures = list(scene.captures())
    for number, capture in enumerate(captures):
        label = recorded(bag, "/ground_truth/label/compressed")[number]
        assert stamp_ns(label.header.stamp) == capture.stamp
        assert np.array_equal(decode_labels(label), capture.labels)
        cloud = decode_cloud(recorded(bag, "/lidar/points")[number])
        assert np.abs(cloud[:, :3] - capture.cloud.points[:, :3]).max() <= 1 / 128 + 1e-6
    events = EventDecoder().decode_all(recorded(bag, "/event/packets"))
    merged = sum(len(capture.events) for capture in captures)
    assert 0.8 * merged < len(events) <= merged


def test_a_bag_states_its_arguments_and_is_not_overwritten(bag: Path, scene: Scene) -> None:
    import json

    assert json.loads((bag / MANIFEST).read_text()) == made_from(SPEC, SETTINGS)
    with pytest.raises(FileExistsError):
        write_bag(bag, scene)


VEHICLE = Recording(odometry=50.0, raw_sweeps=True, lidar_lag=-0.04, depth_lag=0.02)


@pytest.fixture(scope="module")
def moving(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags") / "moving"
    write_bag(folder, scene, recording=VEHICLE)
    return folder


def test_odometry_tells_where_the_vehicle_is(moving: Path, scene: Scene) -> None:
    told = [one for message in recorded(moving, "/tf") for one in message.transforms]
    stamps = [stamp_ns(one.header.stamp) for one in told]
    assert set(np.diff(stamps)) == {20_000_000}
    assert stamps[0] < scene.stamp(SPEC.seconds(0)) - 10**9 / 2
    assert stamps[-1] > scene.stamp(SPEC.seconds(SPEC.frames)) + 10**9 / 2
    for one, stamp in zip(told, stamps, strict=True):
        assert (one.header.frame_id, one.child_frame_id) == ("odom", "base_link")
        true = scene.drive.world_from_base((stamp - scene.stamp(0.0)) * 1e-9)
        np.testing.assert_allclose(transform_matrix(one.transform), true, atol=1e-6)


def test_raw_sweeps_are_what_the_lidar_saw_at_each_moment(moving: Path, scene: Scene) -> None:
    """Put back by the poses of their times, they are the compensated cloud of the stamp."""
    for number, message in enumerate(recorded(moving, "/lidar/points")):
        seconds = SPEC.seconds(number) - 0.04
        assert stamp_ns(message.header.stamp) == scene.stamp(seconds)
        sweep = decode_sweep(message, None, "auto", scene.stamp(seconds))
        true = scene.sweep(number, -0.04)
        np.testing.assert_allclose(sweep.times, true.time, atol=1e-6)
        assert np.ptp(sweep.times) > 0.02
        lidar = scene.rig.base_from_lidar
        now = np.linalg.inv(scene.drive.world_from_base(seconds) @ lidar)
        for k in range(0, len(sweep.times), 97):
            then = scene.drive.world_from_base(seconds + float(sweep.times[k])) @ lidar
            put = (now @ then @ np.append(sweep.points[k, :3].astype(float), 1.0))[:3]
            assert np.abs(put - true.points[k, :3]).max() < 0.02


def test_a_lag_is_one_of_the_measurement_and_not_of_the_stamp_alone(
    moving: Path, bag: Path, scene: Scene
) -> None:
    depth = recorded(moving, "/depth/image/compressedDepth")
    for number, message in enumerate(depth):
        assert stamp_ns(message.header.stamp) == scene.stamp(SPEC.seconds(number) + 0.02)
        assert np.array_equal(decode_depth(message), scene.depth(number, 0.02)[0])
    before = recorded(bag, "/depth/image/compressedDepth")[0]
    assert not np.array_equal(decode_depth(before), decode_depth(depth[0]))


def test_how_it_is_recorded_is_part_of_what_a_bag_is_made_from(moving: Path) -> None:
    assert json.loads((moving / MANIFEST).read_text()) == made_from(SPEC, SETTINGS, VEHICLE)
    assert made_from(SPEC, SETTINGS, VEHICLE) != made_from(SPEC, SETTINGS)


@pytest.mark.parametrize("wrong", [{"odometry": -1.0}, {"lidar_lag": 1.0}, {"depth_lag": np.nan}])
def test_recordings_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="must be from"):
        Recording(**wrong)
