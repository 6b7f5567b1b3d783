"""What is remembered of one sensor."""

from __future__ import annotations

import math

import pytest

from any2seg_ros.runtime.monitor import Monitor, Repeats

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


def test_refusals_are_all_counted_and_logged_ever_more_seldom():
    monitor = Monitor()
    logged = [
        k for k in range(6000) if monitor.refuse(f"late by {k / 7} s", SECOND + k * SECOND // 10)
    ]
    assert monitor.refused == 6000
    assert logged == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630, 4230, 4830, 5430]


def test_another_reason_is_told_at_once_and_an_old_one_after_a_minute_without_it():
    repeats = Repeats()
    assert [repeats.due(text, SECOND) for text in ("black", "noise", "black")] == [1, 1, 0]
    assert not repeats.due("black", SECOND + SECOND // 2)
    assert repeats.due("black", 70 * SECOND)
    assert repeats.due("noise", 71 * SECOND)


def test_reasons_that_are_ever_different_do_not_fill_the_log():
    repeats = Repeats()
    names = [f"unknown encoding '{k}': read are" for k in range(1000)]
    assert sum(repeats.due(name, SECOND) for name in names) == 1
    words = ["".join(chr(97 + (k >> s & 7)) for s in (0, 3, 6)) for k in range(512)]
    assert sum(repeats.due(word, 2 * SECOND) for word in words) < 10
