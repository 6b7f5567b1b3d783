"""The replay benchmark repeats a bag with stamps that continue."""

from __future__ import annotations

from pathlib import Path

from any2seg_ros.bags import BagReader
from any2seg_ros.bench.replay import repeat
from any2seg_ros.messages import stamp_ns
from any2seg_ros.resources import find

LIDAR = "/lidar/points"


def stamps(bag: Path, topic: str) -> list[int]:
    with BagReader(bag) as reader:
        return [stamp_ns(one.message.header.stamp) for one in reader.messages([topic])]


def test_a_repeated_bag_has_every_message_again_later(tmp_path: Path) -> None:
    bag = find("demo_data/streets")
    once = stamps(bag, LIDAR)
    repeat(bag, tmp_path / "twice", 2)
    twice = stamps(tmp_path / "twice", LIDAR)
    assert twice[: len(once)] == once and len(twice) == 2 * len(once)
    assert twice == sorted(twice)
    shift = twice[len(once)] - once[0]
    assert [stamp - shift for stamp in twice[len(once) :]] == once
    with BagReader(tmp_path / "twice") as reader:
        assert len(list(reader.messages(["/tf_static"]))) == 1
