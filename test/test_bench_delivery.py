"""The benchmark of the middleware: two real processes."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle

from any2seg_ros.bench import delivery
from any2seg_ros.resources import find


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    ros_vehicle.isolate(monkeypatch)


@pytest.mark.parametrize("way", ["defaults", delivery.PROFILES])
def test_what_is_sent_reliably_arrives_whole(way):
    assert delivery._arrived(200_000, True, delivery.WAYS[way]) == delivery.COUNT


def test_the_kernel_s_buffers_are_told():
    assert all(size > 0 for size in delivery._sockets().values())


def test_the_profiles_are_where_the_documents_say():
    text = find(delivery.PROFILES).read_text()
    assert "<segment_size>33554432</segment_size>" in text
