"""Which frames a report shows: the best, the worst, and a strip of bounded length."""

from __future__ import annotations

import random

import pytest

from any2seg_ros.html.gallery import BestAndWorst, FilmStrip, ShownFrame


def frame(score: float, name: str, group: str = "") -> ShownFrame:
    return ShownFrame(score, name, {}, group)


def names(frames: list[ShownFrame]) -> list[str]:
    return [one.name for one in frames]


def test_the_best_and_the_worst_are_kept_in_order():
    kept = BestAndWorst(2)
    for score, name in [(3, "c"), (1, "a"), (5, "e"), (2, "b"), (4, "d")]:
        kept.add(frame(score, name))
    assert names(kept.best) == ["e", "d"] and names(kept.worst) == ["a", "b"]


def test_equal_frames_are_kept_by_name_in_whatever_order_they_come():
    for order in (["a", "b", "c"], ["c", "b", "a"]):
        kept = BestAndWorst(2)
        for name in order:
            kept.add(frame(1.0, name))
        assert names(kept.best) == names(kept.worst) == ["a", "b"]


def test_only_what_would_be_kept_is_wanted():
    kept = BestAndWorst(1)
    assert kept.wants(5.0, "b") and not kept.wants(float("nan"), "b")
    kept.add(frame(5.0, "b"))
    kept.add(frame(1.0, "c"))
    assert kept.wants(6.0, "d") and kept.wants(0.5, "d")
    assert not kept.wants(3.0, "d") and not kept.wants(5.0, "c") and kept.wants(5.0, "a")


def test_a_group_has_one_best_and_one_worst_frame():
    kept = BestAndWorst(2)
    for score, name, group in [(9, "a", "1"), (8, "b", "1"), (7, "c", "2"), (6, "d", "2")]:
        if kept.wants(score, name, group):
            kept.add(frame(score, name, group))
    assert names(kept.best) == ["a", "c"] and names(kept.worst) == ["d", "b"]
    assert not kept.wants(8.5, "e", "1")


def test_parts_add_up_to_the_whole():
    rng = random.Random(0)
    frames = [frame(rng.randrange(20), f"{i:03}", str(i // 4)) for i in range(60)]
    whole, parts = BestAndWorst(3), [BestAndWorst(3), BestAndWorst(3)]
    for index, one in enumerate(frames):
        whole.add(one)
        parts[index % 2].add(one)
    parts[0] += parts[1]
    assert names(parts[0].best) == names(whole.best)
    assert names(parts[0].worst) == names(whole.worst)


def test_a_film_strip_keeps_the_first_frame_of_every_second():
    strip: FilmStrip[float] = FilmStrip()
    for tenth in range(35):
        seconds = tenth / 10
        assert strip.wants(seconds) == (tenth % 10 == 0)
        strip.add(seconds, seconds)
    assert strip.frames == [0.0, 1.0, 2.0, 3.0] and strip.period == 1.0


@pytest.mark.parametrize("length", [24, 25, 1000])
def test_however_long_a_drive_the_strip_stays_short_and_spreads_over_it(length):
    strip: FilmStrip[int] = FilmStrip(limit=24)
    for second in range(length):
        if strip.wants(second):
            strip.add(second, second)
    frames = strip.frames
    assert 12 <= len(frames) <= 24 and frames[0] == 0
    steps = {b - a for a, b in zip(frames[:-1], frames[1:], strict=True)}
    assert steps == {strip.period} and length - frames[-1] <= strip.period


def test_gaps_and_stamps_before_the_beginning_do_no_harm():
    strip: FilmStrip[float] = FilmStrip(limit=3)
    for seconds in (-0.5, 0.2, 900.0, 5.0, 1e6):
        strip.add(seconds, seconds)
    assert strip.frames == sorted(strip.frames) and len(strip.frames) <= 3
