"""A sensor whose decoding takes too long is refused for a while, longer each time."""

from __future__ import annotations

from any2seg_ros.runtime.decode_budget import DecodeBudget

S = 1_000_000_000


def budget() -> DecodeBudget:
    return DecodeBudget(0.1, "rgb.decode_budget")


def test_within_the_budget_nothing_is_refused() -> None:
    one = budget()
    for k in range(100):
        one.spend(0.1, k * S)
        assert one.refusal(k * S) == ""


def test_now_and_then_above_it_is_forgiven_and_again_and_again_is_not() -> None:
    one = budget()
    for k in range(30):
        one.spend(0.05 if k % 3 == 2 else 0.2, k)
        assert one.refusal(k) == ""
    for k in range(3):
        assert one.refusal(k) == ""
        one.spend(0.2, k)
    assert one.refusal(3) == (
        "refused for 1 s: decoding took 0.20 s of processor time, at most 0.1 (rgb.decode_budget)"
    )


def test_four_times_the_budget_is_too_much_at_once() -> None:
    one = budget()
    one.spend(0.4, 0)
    assert one.refusal(1)


def test_refusals_grow_to_a_minute_and_are_short_again_after_a_good_one() -> None:
    one, now, lengths = budget(), 0, []
    for _ in range(9):
        one.spend(5.0, now)
        began = now
        while one.refusal(now):
            now += S // 2
        lengths.append((now - began) / S)
    assert lengths == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    now += 61 * S
    one.spend(5.0, now)
    assert one.refusal(now + S // 2) and not one.refusal(now + S)


def test_of_video_each_packet_has_the_budget_and_many_together_four_times_it() -> None:
    one = budget()
    for k in range(600):
        one.spend(0.3, k * S, 30)
        assert one.refusal(k * S) == ""
    one.spend(0.4, 600 * S, 30)
    assert "decoding took 0.40 s" in one.refusal(600 * S)


def test_zero_is_no_limit() -> None:
    one = DecodeBudget(0.0, "rgb.decode_budget")
    one.spend(1e6, 0)
    assert one.refusal(1) == "" and one.gross == float("inf")
