"""What takes the place of a value that is known."""

from __future__ import annotations

from any2seg_ros.runtime.proving import PATIENCE, Proving

STEP = PATIENCE // 5


def changed_after(proving: Proving, value: str, now: int) -> int:
    """How many times another value has to be told, five times a second."""
    for count in range(1, 1000):
        if proving.offer(value, now + count * STEP):
            return count
    return 1000


def test_the_first_value_is_taken_at_once_and_another_after_a_second() -> None:
    proving: Proving[str] = Proving()
    assert proving.offer("a", 1) and proving.known == "a"
    assert changed_after(proving, "b", STEP) == 6 and proving.known == "b"


def test_each_change_makes_the_next_one_harder_until_a_minute_without_doubt() -> None:
    proving, now, counts = Proving("a"), 0, []
    for value in "bab":
        counts.append(changed_after(proving, value, now))
        now += 50 * STEP
    assert counts == [6, 11, 21]
    assert changed_after(proving, "c", now + 70 * PATIENCE) == 6


def test_what_agrees_with_the_known_value_makes_another_begin_anew() -> None:
    proving = Proving("a")
    for k in range(100):
        assert not proving.offer("b", 4 * k * STEP)
        assert not proving.support((4 * k + 1) * STEP)
        proving.offer("a", (4 * k + 2) * STEP)
    assert proving.known == "a"


def test_a_flood_within_an_instant_is_no_proof() -> None:
    proving = Proving("a")
    assert not any(proving.offer("b", k) for k in range(100_000))
