"""Rates, gaps and stamps of topics, of a drive whose every figure is known."""

from __future__ import annotations

import pytest
import tiny_drive

from any2seg_ros.bags import BagReader
from any2seg_ros.inspection.topics import TopicStats, topic_stats


def test_a_topic_s_figures_are_those_of_its_messages(tmp_path):
    with BagReader(tiny_drive.write(tmp_path / "bag", tiny_drive.rows(20))) as bag:
        stats = topic_stats(bag)
        decoded = {t: sum(1 for _ in bag.messages([t])) for t in bag.topics}
    assert {topic: one.count for topic, one in stats.items()} == decoded
    rgb = stats["/rgb/image/compressed"]
    assert rgb.count == 20 and rgb.size > 20 * 300
    assert rgb.rate == pytest.approx(10, rel=0.02) and rgb.interval == pytest.approx(0.1)
    assert rgb.gap == pytest.approx(0.1, abs=0.02) and 0 <= rgb.delay < 0.1
    assert stats["/tf_static"].rate == 0 and stats["/tf_static"].gap == 0


def stats_of(stamps, late=0):
    log_times = [stamp + late for stamp in stamps]
    return TopicStats("/t", "k", len(stamps), 0, log_times, list(stamps))


def test_stamps_of_another_clock_have_no_delay():
    assert stats_of([10**9, 2 * 10**9], 3_000_000).delay == pytest.approx(0.003)
    assert stats_of([10**9, 2 * 10**9], 10**18).delay is None
    assert stats_of([]).delay is None


def test_the_difference_of_two_topics_is_that_of_nearest_stamps():
    camera = stats_of([k * 100_000_000 for k in range(1, 30)])
    lidar = stats_of([k * 100_000_000 + 38_000_000 for k in range(1, 30)])
    assert camera.difference(lidar) == pytest.approx(0.038)
    assert camera.difference(stats_of([100_000_000])) > 1
    assert camera.difference(stats_of([])) == float("inf")


def test_what_arrives_later_is_that_of_the_same_time():
    camera = stats_of([k * 100_000_000 for k in range(1, 30)], late=10_000_000)
    lidar = stats_of([k * 100_000_000 + 5_000_000 for k in range(1, 30)], late=90_000_000)
    assert camera.later(lidar) == pytest.approx(0.085)
    assert lidar.later(camera) == 0
    assert camera.later(stats_of([])) == 0
    assert camera.difference(lidar, -0.045) == pytest.approx(0.04)
