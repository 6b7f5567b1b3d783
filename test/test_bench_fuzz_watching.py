"""What must not happen is found: other exceptions, long lines, time and memory."""

from __future__ import annotations

import time

import numpy as np
import pytest

from any2seg_ros.bench.fuzz.watching import Finding, Watch, unexpected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("one line"), ""),
        (ValueError("two\nlines"), "not one line"),
        (ValueError("x" * 2000), "not one line"),
        (ValueError(""), "not one line"),
        (KeyError("x"), "KeyError: 'x' (test_bench_fuzz_watching.py:"),
    ],
)
def test_only_the_documented_exception_of_one_line_is_expected(error, words) -> None:
    try:
        raise error
    except Exception as caught:
        found = unexpected(caught, (ValueError,))
    assert found.startswith(words) and bool(found) == bool(words)


def test_processor_time_is_measured_and_waiting_is_not() -> None:
    told: list[str] = []
    watch = Watch()
    with watch.timed(told.append, 0.05):
        time.sleep(0.2)
    assert told == []
    with watch.timed(told.append, 0.05):
        end = time.process_time() + 0.06
        while time.process_time() < end:
            pass
    assert len(told) == 1 and watch.slowest >= 0.06


def test_memory_is_found_even_if_it_is_given_back() -> None:
    told: list[str] = []
    with Watch().bounded(told.append):
        np.ones(5_000_000)
    assert told == []
    with Watch().bounded(told.append):
        np.ones(50_000_000)
    assert len(told) == 1 and "MiB at once" in told[0]


def test_findings_of_one_cause_are_one_group() -> None:
    one, other = (Finding("messages", n, n, "slow", f"0.3{n} s") for n in (1, 2))
    assert one.group == other.group
