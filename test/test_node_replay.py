"""The node over DDS in real time, and replay without it: two walks of the same code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle  # noqa: E402
import yaml  # noqa: E402

from any2seg_ros.bags.reader import BagReader  # noqa: E402
from any2seg_ros.commands.replay import node_parameters  # noqa: E402
from any2seg_ros.demo.player import Player, Tape  # noqa: E402
from any2seg_ros.demo.recorder import Recorder  # noqa: E402
from any2seg_ros.demo.schedule import Phase  # noqa: E402
from any2seg_ros.engine import Segmenter  # noqa: E402
from any2seg_ros.messages import decode_image, stamp_ns  # noqa: E402
from any2seg_ros.replay.run import Replay, ReplayConfig  # noqa: E402
from any2seg_ros.resources import find  # noqa: E402
from any2seg_ros.types import Modality  # noqa: E402

SECONDS = 4.0
Masks = dict[int, tuple[dict[str, int], np.ndarray]]
"""By ns since the bag's first stamp: the stamp of each sensor that was used, and the mask."""


@pytest.fixture(scope="module")
def parameters(tmp_path_factory) -> Path:
    """The demo's parameters and weights, on images so small that any machine keeps up."""
    content = yaml.safe_load(find("config/demo.yaml").read_text())
    values = next(iter(content.values()))["ros__parameters"]
    values |= {"engine": "torch", "device": "cpu", "threads": 1}
    values |= {"network_width": 96, "network_height": 64}
    for modality in Modality:
        # A busy machine must not look like sensors whose clocks drift.
        values[modality.label] = {**values.get(modality.label, {}), "drift": 0.0}
    path = tmp_path_factory.mktemp("parameters") / "parameters.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def bag() -> Path:
    return find("demo_data/streets")


@pytest.fixture(scope="module")
def lived(parameters, bag, tmp_path_factory) -> Masks:
    """What the node publishes while the bag is played to it."""
    out = tmp_path_factory.mktemp("lived")
    with pytest.MonkeyPatch.context() as patch:
        ros_vehicle.isolate(patch)
        rclpy.init()
        talker, listener = rclpy.create_node("player"), rclpy.create_node("listener")
        recorder = Recorder(listener, out / "bag")
        player = Player(talker, Tape(bag))
        try:
            with ros_vehicle.NodeProcess(
                out / "node.log", "--params-file", str(parameters)
            ) as node:
                end = time.monotonic() + 90
                while not recorder.heard.statuses and time.monotonic() < end and node.lives:
                    time.sleep(0.1)
                assert recorder.heard.statuses, node.log.read_text()
                player.play([Phase("all four", tuple(Modality), SECONDS)], lambda *_: None)
                time.sleep(1.0)
        finally:
            recorder.close()
            talker.destroy_node()
            listener.destroy_node()
            rclpy.try_shutdown()
    return published(out / "bag", player.starts[0])


@pytest.fixture(scope="module")
def replayed(parameters, bag, tmp_path_factory) -> Masks:
    """What replay writes for the same bag with the same parameters."""
    out = tmp_path_factory.mktemp("replayed") / "bag"
    config = node_parameters(parameters)
    segmenter = Segmenter.open(config.engine_config())
    replay = Replay(bag, segmenter, ReplayConfig(outputs=("mask", "status"), parameters=config))
    replay.run(out, "shipped")
    return published(out, Tape(bag).start)


def published(bag: Path, start: int) -> Masks:
    """The masks of an output bag, with what their statuses say."""
    heard: dict[str, dict[int, Any]] = {"mask": {}, "status": {}}
    with BagReader(bag) as reader:
        for recorded in reader.messages(["/segmenter/mask", "/segmenter/status"]):
            name = recorded.topic.rsplit("/", 1)[1]
            heard[name][stamp_ns(recorded.message.header.stamp) - start] = recorded.message
    return {
        stamp: (used(heard["status"][stamp], start), decode_image(mask))
        for stamp, mask in heard["mask"].items()
        if stamp in heard["status"]
    }


def used(status: Any, start: int) -> dict[str, int]:
    rows = [row for row in status.modalities if row.weight > 0]
    return {row.modality: stamp_ns(row.stamp) - start for row in rows}


def test_over_dds_in_real_time_the_masks_are_those_of_replay(lived, replayed):
    both = sorted(set(lived) & set(replayed))
    assert both
    # The steady clock ends waiting too, where the machine is late: a frame then lacks a sensor.
    alike = [stamp for stamp in both if lived[stamp][0].keys() == replayed[stamp][0].keys()]
    assert alike
    for stamp in alike:
        assert lived[stamp][0] == replayed[stamp][0], f"{stamp} is of other measurements"
        assert np.array_equal(lived[stamp][1], replayed[stamp][1]), f"the mask at {stamp} differs"
    assert any(np.unique(lived[stamp][1]).size > 5 for stamp in alike)
