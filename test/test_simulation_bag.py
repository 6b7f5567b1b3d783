"""A drive as a bag: topics, rates, delays, and the same measurements as the scene's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from simulated_street import SETTINGS

from any2seg_ros.bags import BagReader
from any2seg_ros.messages import EventDecoder, decode_cloud, decode_labels, stamp_ns
from any2seg_ros.simulation.bag import made_from, write_bag
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
