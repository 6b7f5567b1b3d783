"""Floods of a topic: found by messages and by bytes, and what is none is left alone."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import pytest

from any2seg_ros.node.floods import FloodGuard, FloodLimits, size_of

SECOND = 1_000_000_000
LIMITS = FloodLimits(messages=500, burst=200, megabytes=32.0, largest=1.0, parameter="p")


def fed(guard: FloodGuard, hertz: float, size: int, seconds: float, begin: int = SECOND) -> str:
    """The first refusal of a steady stream; empty if there is none."""
    for number in range(int(hertz * seconds)):
        reason = guard.refusal(size, begin + round(number * SECOND / hertz))
        if reason:
            return reason
    return ""


@pytest.mark.parametrize(
    ("hertz", "size", "reason"),
    [
        (400, 10, ""),
        (1000, 10, "flooded: not listened to while above 500 messages/s"),
        (100, 300_000, ""),
        (100, 900_000, "flooded: not listened to while above 32 MB/s (p)"),
    ],
)
def test_a_flood_is_found_by_messages_or_bytes(hertz, size, reason) -> None:
    assert fed(FloodGuard(LIMITS), hertz, size, 5.0) == reason


def test_what_has_waited_for_a_moment_is_no_flood() -> None:
    guard = FloodGuard(LIMITS)
    assert not any(guard.refusal(1000, SECOND) for _ in range(200))
    assert guard.refusal(1000, SECOND)


def test_a_flood_that_goes_on_is_found_sooner_and_one_that_is_over_is_not_found() -> None:
    guard = FloodGuard(LIMITS)
    first = next(n for n in range(1000) if guard.refusal(0, SECOND + n * 1_000_000))
    guard.resume(3 * SECOND)
    again = next(n for n in range(1000) if guard.refusal(0, 3 * SECOND + n * 1_000_000))
    assert again < first / 2
    guard.resume(5 * SECOND)
    assert not fed(guard, 100, 0, 3.0, 5 * SECOND)


def test_after_a_pause_messages_are_dropped_until_the_flood_is_known_to_be_over() -> None:
    guard = FloodGuard(LIMITS)
    guard.resume(SECOND)
    proving = []
    for number in range(4):  # the first comes late: publishers have to be found
        guard.refusal(10, 2 * SECOND + number * 50_000_000)
        proving.append(guard.proving)
    assert proving == [True, True, False, False]


def test_without_limits_nothing_is_a_flood() -> None:
    assert not fed(FloodGuard(FloodLimits(0, 0)), 5000, 10**6, 1.0)


def test_bytes_are_those_of_data_and_of_events_whose_arrays_cost_more() -> None:
    octets = array("B", bytes(100))
    assert size_of(SimpleNamespace(data=octets)) == 100
    assert size_of(SimpleNamespace(events=octets, encoding="evt3")) == 100
    assert size_of(SimpleNamespace(events=[None] * 100)) == 2000
    assert size_of(SimpleNamespace(k=[1.0])) == 0
