"""The benchmark of placing says what it promises."""

from __future__ import annotations

import os

import numpy as np

from any2seg_ros.bench import place


def test_every_step_of_a_frame_is_timed_beside_its_copy(monkeypatch):
    monkeypatch.setattr(place, "_REPEATS", 1)
    cores = os.sched_getaffinity(0)
    figures = place.run()
    steps = figures["steps"]
    for sensor in ("rgb", "depth", "lidar", "events"):
        assert {f"decode {sensor}", f"place {sensor}"} <= set(steps)
    for step in steps.values():
        assert set(step) == {"ms", "copy_ms"}
    total = sum(step["ms"] for step in steps.values())
    assert abs(figures["total_ms"] - total) < 1e-2
    assert os.sched_getaffinity(0) == cores


def test_a_frame_has_the_events_and_points_that_are_promised():
    random = np.random.default_rng(0)
    events = place._slice(place._chunks(place._packets(random)))
    assert abs(len(events) - 50_000) < 2_000
    assert (np.diff(events.t) >= 0).all()
    assert len(place.messages.decode_cloud(place._cloud(random))) == 128_000
