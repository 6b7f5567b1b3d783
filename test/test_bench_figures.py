"""Figures of the benchmarks: percentiles, the best of some runs, memory that grows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from any2seg_ros.bench.figures import best_ms, growth, memory_over_time, percentiles


def test_percentiles_are_rounded_and_none_of_nothing_is_known() -> None:
    assert percentiles(np.arange(101.0)) == {"p50": 50.0, "p90": 90.0}
    assert percentiles([0.0, 1.0], (50, 99), 2) == {"p50": 0.5, "p99": 0.99}
    assert all(math.isnan(value) for value in percentiles([]).values())


def test_the_first_call_is_not_timed() -> None:
    calls: list[int] = []
    assert best_ms(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 4


def test_a_line_is_drawn_through_what_is_settled() -> None:
    times = np.arange(601.0)
    memory = np.where(times < 180, 500.0, 1000.0 + times / 20)
    assert growth(times, memory) == pytest.approx(0.05)
    assert growth(times[:1], memory[:1]) == 0.0
    figures = memory_over_time(times, memory)
    assert figures["memory_growth_mib_per_minute"] == pytest.approx(3.0)
    assert figures["memory_mib"] == {"first": 500, "settled": 1009, "last": 1030, "most": 1030}
