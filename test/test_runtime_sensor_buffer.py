"""Which of a sensor's last messages belongs to a stamp."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from any2seg_ros.runtime.sensor_buffer import SensorBuffer, Timing
from any2seg_ros.types import Availability, Modality

OK, HELD, MISSING = Availability.OK, Availability.HELD, Availability.MISSING
MS = 1_000_000


def filled(*stamps_ms: int, **timing: float) -> SensorBuffer:
    """A buffer with messages that are their stamps in ms; a window of 50 ms, held for 250."""
    buffer = SensorBuffer(Modality.LIDAR, Timing(**timing))
    for stamp in stamps_ms:
        buffer.messages.append((stamp * MS, stamp))
        buffer.last = stamp * MS
    return buffer


def test_the_nearest_is_taken_whether_before_or_after():
    assert filled(0, 100).take(30 * MS) == (0, OK)
    assert filled(0, 100).take(70 * MS) == (100, OK)


def test_of_two_that_are_as_near_the_earlier_is_taken():
    assert filled(0, 60).take(30 * MS) == (0, OK)


@pytest.mark.parametrize(("age", "found"), [(50, OK), (51, HELD), (250, HELD), (251, MISSING)])
def test_window_and_hold_end_where_they_say(age, found):
    assert filled(0).take(age * MS)[1] is found


@pytest.mark.parametrize(("ahead", "found"), [(50, OK), (51, MISSING)])
def test_what_is_measured_later_is_taken_within_the_window_and_never_held(ahead, found):
    assert filled(ahead).take(0)[1] is found


def test_an_older_one_is_held_where_the_next_one_is_out_of_the_window():
    assert filled(0, 200).take(90 * MS) == (0, HELD)


def test_an_empty_buffer_has_nothing():
    assert filled().take(0) == (None, MISSING)
    assert filled(sliced=True).take(0) == (None, MISSING)


def test_what_no_later_frame_can_want_is_forgotten():
    buffer = filled(0, 100, 200, 300)
    buffer.take(210 * MS)
    assert [message for _, message in buffer.messages] == [200, 300]


@given(st.lists(st.integers(0, 1000), min_size=1, unique=True), st.lists(st.integers(0, 1000)))
def test_forgetting_changes_nothing_for_stamps_that_only_grow(stamps, references):
    kept = filled(*sorted(stamps))
    for reference in sorted(references):
        assert kept.take(reference * MS) == filled(*sorted(stamps)).take(reference * MS)


def test_an_overtaken_measurement_is_put_in_its_place_and_a_full_buffer_drops_its_oldest():
    buffer = filled(0, 200, capacity=2)
    buffer.insert(100 * MS, 100, 300 * MS)
    assert [message for _, message in buffer.messages] == [100, 200]


def test_a_slice_is_the_chunks_that_may_reach_into_it():
    buffer = filled(0, 40, 60, 100, 140, sliced=True)
    assert buffer.take(100 * MS) == ([60, 100], OK)
    assert filled(40, 60, 110, 140, sliced=True).take(100 * MS) == ([60, 110], OK)
    assert filled(151, sliced=True).take(100 * MS) == (None, MISSING)


def test_the_reason_for_nothing_is_the_nearest_cause():
    buffer = filled()
    assert buffer.absence() == (MISSING, "nothing heard yet")
    buffer.last = 0
    assert buffer.absence() == (MISSING, "no measurement in the window")
    buffer.refused = "stamp is zero"
    assert buffer.absence() == (Availability.INVALID, "stamp is zero")
    buffer.enabled = False
    assert buffer.absence() == (Availability.DISABLED, "taken out by configuration")


@pytest.mark.parametrize("stamps", [(), (0,), (0, 100), (0, 60), (0, 40, 80, 120)])
@pytest.mark.parametrize("sliced", [False, True])
def test_peeking_tells_what_taking_gives_and_forgets_nothing(stamps, sliced) -> None:
    for reference in (0, 30, 70, 110, 200):
        buffer = filled(*stamps, sliced=sliced)
        kept = list(buffer.messages)
        seen = buffer.peek(reference * MS)
        assert list(buffer.messages) == kept
        assert buffer.take(reference * MS) == seen
