"""The replay benchmark repeats a bag with stamps that continue."""

from __future__ import annotations

from pathlib import Path

from any2seg_ros.bags import BagReader
from any2seg_ros.bench.replay import repeat
from any2seg_ros.messages import stamp_ns
from any2seg_ros.resources import find

LIDAR = "/lidar/points"
ALL = (LIDAR, "/rgb/image/compressed", "/ground_truth/label/compressed", "/event/packets")


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


def test_of_a_thinned_bag_whole_frames_are_left_others_in_each_round(tmp_path: Path) -> None:
    bag = find("demo_data/streets")
    repeat(bag, tmp_path / "thin", 3, 20)
    left = {topic: stamps(tmp_path / "thin", topic) for topic in ALL}
    assert len(left[LIDAR]) == len(left["/rgb/image/compressed"]) == 12
    assert left[LIDAR] == left["/rgb/image/compressed"] == left["/ground_truth/label/compressed"]
    for stamp in left[LIDAR]:
        events = [one for one in left["/event/packets"] if stamp - 60_000_000 < one <= stamp]
        assert len(events) >= 5
