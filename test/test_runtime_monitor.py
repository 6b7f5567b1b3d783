"""What is remembered of one sensor."""

from __future__ import annotations

import math

import pytest

from any2seg_ros.runtime.monitor import Monitor

SECOND = 1_000_000_000


def _drive(monitor, begin, seconds, rate):
    for tick in range(seconds * 10):
        now = begin + tick * SECOND // 10
        for _ in range(rate // 10):
            monitor.on_message(now)
        monitor.tick(now)
    return begin + seconds * SECOND


@pytest.mark.parametrize("rate", [10, 1000])
def test_the_rate_is_that_of_the_last_seconds(rate):
    monitor = Monitor()
    _drive(monitor, SECOND, 5, rate)
    assert monitor.rate == pytest.approx(rate, rel=0.02)


def test_the_rate_of_a_dead_sensor_falls_to_zero_and_its_age_grows():
    monitor = Monitor()
    assert monitor.age(SECOND) == math.inf
    now = _drive(monitor, SECOND, 3, 10)
    now = _drive(monitor, now, 4, 0)
    assert monitor.rate == 0.0
    assert monitor.age(now) == pytest.approx(4.1, abs=0.02)


def test_refusals_are_all_counted_and_logged_once_a_second():
    monitor = Monitor()
    logged = [monitor.refuse("bad", SECOND + k * SECOND // 10) for k in range(25)]
    assert monitor.refused == 25
    assert [k for k, yes in enumerate(logged) if yes] == [0, 10, 20]
