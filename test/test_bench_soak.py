"""The soak test's summary finds memory and latency that grow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="the soak test plays to the node: needs rclpy")

from any2seg_ros.bench.soak import Samples, _on_message, summary


def samples(growth: float) -> Samples:
    """Ten minutes, a sample a second: memory jumps to 1000 MiB, then grows (MiB a minute)."""
    memory = [
        (float(t), 500.0 if t < 60 else 1000.0 + growth * t / 60, 0.5 * t) for t in range(601)
    ]
    latencies = [(t / 10, 0.05 + 0.01 * (t > 5400)) for t in range(6000)]
    last = SimpleNamespace(
        frames_published=6000, dropped_busy=2, dropped_late=4, frames_incomplete=1
    )
    return Samples(memory, latencies, last)


def test_growing_memory_is_told_from_a_warm_up() -> None:
    flat, grows = summary(samples(0.0), 10, 0), summary(samples(3.0), 10, 0)
    assert flat["memory_growth_mib_per_minute"] == pytest.approx(0.0, abs=1e-6)
    assert grows["memory_growth_mib_per_minute"] == pytest.approx(3.0, abs=1e-3)
    assert flat["memory_mib"] == {"first": 500, "settled": 1000, "last": 1000, "most": 1000}


def test_rates_latencies_and_cpu_time_are_per_frame() -> None:
    figures = summary(samples(0.0), 10, 0)
    assert figures["rate_hz"] == 10.0 and figures["cpu_ms_per_frame"] == 50.0
    assert figures["latency_ms"]["first"]["p50"] == pytest.approx(50.0)
    assert figures["latency_ms"]["last"]["p50"] == pytest.approx(60.0)


def test_a_frame_counts_once_however_often_its_status_is_repeated() -> None:
    kept = Samples()
    for published in (0, 1, 1, 2):
        status = SimpleNamespace(frames_published=published, latency_total=0.1)
        _on_message(kept, status)
    assert len(kept.latencies) == 2 and kept.last.frames_published == 2
