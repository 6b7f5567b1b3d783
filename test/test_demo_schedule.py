"""The demo's schedule takes every sensor away and brings all back."""

from __future__ import annotations

from any2seg_ros.demo.schedule import schedule


def test_the_schedule_ends_every_sensor_and_brings_all_back():
    phases = schedule(8.0)
    assert [len(phase.subset) for phase in phases] == [4, 3, 2, 1, 1, 0, 4]


def test_phases_have_the_length_asked_for() -> None:
    phases = schedule(5.0, blind_seconds=2.0)
    assert {phase.seconds for phase in phases if phase.subset} == {5.0}
    assert [phase.seconds for phase in phases if not phase.subset] == [2.0]
