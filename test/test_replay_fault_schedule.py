"""Fault schedules: their grammar, what they cover, and when they change."""

from __future__ import annotations

import math

import pytest

from any2seg_ros.replay.fault_schedule import (
    DROP,
    Fault,
    Interval,
    active,
    intervals,
    parse_corruptions,
    parse_drops,
)
from any2seg_ros.types import Modality


def test_drops_have_a_begin_and_an_end_or_last_for_ever():
    assert parse_drops("rgb@2.0-5.0, lidar@*") == [
        Fault(Modality.RGB, DROP, 2.0, 5.0),
        Fault(Modality.LIDAR, DROP, 0.0, math.inf),
    ]
    assert parse_drops("depth") == parse_drops("depth@*") == parse_drops("depth@-")
    assert parse_drops("event@-5")[0].end == 5.0
    assert parse_drops("") == []


def test_corruptions_name_what_happens():
    assert parse_corruptions("rgb:night@3.0-") == [Fault(Modality.RGB, "night", 3.0, math.inf)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("radar@*", "unknown modality 'radar'"),
        ("rgb@soon", "'soon' is not a time span"),
        ("rgb@3", "'3' is not a time span"),
        ("rgb@5-2", "end must be after"),
        ("rgb@x-2", "is not a time span"),
    ],
)
def test_a_drop_that_cannot_be_read_is_refused_with_the_part_that_is_wrong(text, said):
    with pytest.raises(ValueError, match=said):
        parse_drops(text)


def test_an_unknown_corruption_is_refused_with_those_that_the_sensor_knows():
    with pytest.raises(ValueError, match="unknown corruption 'night' of lidar: use one of sparse"):
        parse_corruptions("lidar:night@*")
    with pytest.raises(ValueError, match="has no corruption"):
        parse_corruptions("rgb@*")


def test_a_fault_covers_its_begin_but_not_its_end():
    faults = parse_drops("rgb@2-5") + parse_corruptions("rgb:fog@4-")
    assert active(faults, Modality.RGB, 1.99) == []
    assert [f.kind for f in active(faults, Modality.RGB, 2.0)] == [DROP]
    assert [f.kind for f in active(faults, Modality.RGB, 4.5)] == [DROP, "fog"]
    assert [f.kind for f in active(faults, Modality.RGB, 5.0)] == ["fog"]
    assert active(faults, Modality.DEPTH, 4.5) == []


def test_a_fault_is_written_as_it_is_read():
    assert [str(f) for f in parse_corruptions("rgb:fog@4-,rgb:night@*")] == [
        "rgb:fog@4-",
        "rgb:night@*",
    ]
    assert parse_drops("rgb@2-5")[0].label == "no rgb"


def test_intervals_lie_between_the_changes_of_the_schedule():
    first, second = parse_drops("rgb@2-5,lidar@3-")
    assert intervals([first, second]) == [
        Interval(0.0, 2.0, ()),
        Interval(2.0, 3.0, (first,)),
        Interval(3.0, 5.0, (first, second)),
        Interval(5.0, math.inf, (second,)),
    ]
    assert intervals([]) == [Interval(0.0, math.inf, ())]
