"""The output bag of a replay: what the node would have published."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import tiny_drive
import tiny_network

from any2seg_ros.bags import BagReader
from any2seg_ros.engine import Segmenter
from any2seg_ros.messages import stamp_ns
from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.replay.fault_schedule import parse_drops
from any2seg_ros.replay.run import Replay


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    return tiny_network.segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return tiny_drive.write(tmp_path_factory.mktemp("bags") / "drive", tiny_drive.rows(6))


def recorded(segmenter: Segmenter, bag: Path, out: Path, **config) -> tuple[dict, dict]:
    """The report, and the messages of the output bag by output."""
    report = Replay(bag, segmenter, ReplayConfig(**config)).run(out, "tiny")
    found = defaultdict(list)
    with BagReader(out) as reader:
        for one in reader.messages():
            found[one.topic.rsplit("/", 1)[1]].append(one)
    return report, found


def test_only_what_is_wanted_is_written_and_counted(segmenter, drive, tmp_path):
    report, found = recorded(segmenter, drive, tmp_path / "out", outputs=("mask", "status"))
    assert set(found) == {"mask", "status"}
    assert report["messages"] == {name: len(messages) for name, messages in found.items()}


def test_the_class_table_comes_first_and_once(segmenter, drive, tmp_path):
    _, found = recorded(segmenter, drive, tmp_path / "out", outputs=("mask", "label_info"))
    (table,) = found["label_info"]
    assert table.log_time <= found["mask"][0].log_time
    assert len(table.message.class_map) == 25


def test_a_status_counts_what_came_before_it_and_its_wait_is_of_the_bag_s_time(
    segmenter, drive, tmp_path
):
    _, found = recorded(segmenter, drive, tmp_path / "out", outputs=("mask", "status"))
    statuses = [one.message for one in found["status"]]
    published = [status.frames_published for status in statuses]
    assert published == sorted(published) and published[-1] == len(found["mask"])
    assert all(0 <= status.latency_wait < 0.5 for status in statuses)
    assert all(status.latency_infer == 0 for status in statuses)


def test_while_all_sensors_are_silent_there_are_statuses_and_no_masks(segmenter, drive, tmp_path):
    faults = parse_drops("rgb@0.25-,depth@0.25-,lidar@0.25-,event@0.25-")
    outputs = ("mask", "status")
    _, found = recorded(segmenter, drive, tmp_path / "out", outputs=outputs, faults=faults)
    last = stamp_ns(found["mask"][-1].message.header.stamp)
    silent = [one for one in found["status"] if one.log_time > last + 200_000_000]
    assert silent and all(row.weight == 0 for row in silent[-1].message.modalities)
