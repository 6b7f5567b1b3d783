"""The bench of full-size sensors: what it plays, and that a node hears it."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("event_camera_msgs.msg", reason="event_camera_msgs is not here")

import ros_vehicle
import tiny_network

from any2seg_ros.bench import vehicle


def test_the_time_of_threads_is_told_apart():
    done, release = threading.Event(), threading.Event()

    def work():
        end = time.thread_time() + 0.2
        while time.thread_time() < end:
            pass
        done.set()
        release.wait(60)

    before = vehicle.by_thread(os.getpid())
    thread = threading.Thread(target=work)
    thread.start()
    assert done.wait(60)
    inside = vehicle.by_thread(os.getpid())
    release.set()
    thread.join()
    assert inside["decoding and network"] > before["decoding and network"] + 0.1


def test_statuses_may_come_in_while_the_last_is_looked_for():
    statuses = {}

    class Status:
        @property
        def frames_in(self):
            statuses[len(statuses)] = self
            return len(statuses)

    statuses[0] = Status()
    ear = SimpleNamespace(statuses=statuses, masks={})
    span = vehicle.Span(ear, SimpleNamespace(pid=os.getpid()))
    assert span._last().frames_in > 1


def test_the_parts_alone_are_decoding_and_the_network(tmp_path):
    """Of a small network, on frames of the full size."""
    tiny_network.segmenter(tmp_path)
    parts = vehicle.parts_alone(str(tmp_path / "tiny.safetensors"), rounds=1)
    assert all(value > 0 for value in parts.values())
    placed, network = parts["decode_and_place_ms"], parts["network_ms"]
    assert parts["sum_ms"] == pytest.approx(placed + network, abs=0.011)


def test_pauses_are_before_each_frame_and_not_counted(tmp_path, monkeypatch):
    tiny_network.segmenter(tmp_path)
    slept: list[float] = []
    monkeypatch.setattr(vehicle.time, "sleep", slept.append)
    vehicle.parts_alone(str(tmp_path / "tiny.safetensors"), rounds=1, pause_s=0.25)
    assert slept == [0.25] * 2 * (1 + vehicle._FIRST)


@pytest.mark.timeout(900)
def test_a_node_hears_the_sensors_and_masks_are_counted(monkeypatch):
    ros_vehicle.isolate(monkeypatch)
    monkeypatch.setattr(vehicle, "_WARM_UP_S", 1.0)
    figures = vehicle.played(vehicle.Scenario(seconds=4.0))
    node = figures["nodes"]["/"]
    assert node["masks"] > 0 and node["frames"] >= node["masks"] / 2
    assert all(0 < share <= 1 for share in node["heard"].values()), node["heard"]
    assert node["processor_ms_per_frame"]["executor"] > 0
    assert figures["player"]["sent"]["/event/packets"] > figures["player"]["sent"]["/rgb/image"]
    parts = [{"sum_ms": each, "network_wall_p50_ms": 5.0} for each in (10.0, 20.0)]
    node = vehicle.compared(figures, *parts)["nodes"]["/"]
    spent = node["processor_ms_per_frame"]["all"]
    assert node["processor_vs_parts_alone"] == pytest.approx(spent / 10, abs=0.006)
    assert node["processor_vs_parts_with_pauses"] == pytest.approx(spent / 20, abs=0.006)
