"""Transforms that would take the poses of others: loops, floods, numbers that are none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from any2seg_ros.runtime.frame_tree import MAX_FRAMES, FrameTree

SECOND = 1_000_000_000


def link(
    child: str, parent: str, x: float = 0.0, w: float = 1.0, stamp: int = 0
) -> SimpleNamespace:
    seconds, nanoseconds = divmod(stamp, SECOND)
    return SimpleNamespace(
        header=SimpleNamespace(
            frame_id=parent, stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds)
        ),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=x, y=0.0, z=0.0),
            rotation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=w),
        ),
    )


def test_a_transform_that_closes_a_loop_is_ignored_and_the_tree_stays() -> None:
    tree = FrameTree()
    for child, parent in (("base", "map"), ("camera", "base"), ("lidar", "base")):
        assert not tree.refusal(link(child, parent), True, 0)
    for child, parent in (("map", "lidar"), ("base", "camera"), ("/base", "/base")):
        assert "closes a loop" in tree.refusal(link(child, parent), False, 1)
    assert not tree.refusal(link("lidar", "camera"), True, 2)  # another place is no loop


def test_a_moving_transform_that_is_told_no_more_is_in_nobody_s_way() -> None:
    tree = FrameTree()
    assert not tree.refusal(link("base", "lidar"), False, 0)
    assert "loop" in tree.refusal(link("lidar", "base"), True, SECOND)
    assert not tree.refusal(link("lidar", "base"), True, 20 * SECOND)
    tree.forget()
    assert "loop" in tree.refusal(link("base", "lidar"), False, 21 * SECOND)


def test_what_is_static_never_moves_and_may_be_told_again() -> None:
    tree = FrameTree()
    assert not tree.refusal(link("camera", "base"), True, 0)
    for k in range(100):
        assert "static in TF" in tree.refusal(link("camera", "base"), False, k * SECOND)
    assert not tree.refusal(link("camera", "base", 2.0), True, 101 * SECOND)
    assert [(one.transform.translation.x, static) for one, static in tree.told()] == [(2.0, True)]


def test_what_moves_is_not_static_unless_it_was_hardly_told_or_ended() -> None:
    tree = FrameTree()
    assert not tree.refusal(link("lidar", "base"), False, 0)
    assert not tree.refusal(link("lidar", "base"), True, 1)
    assert tree.epoch == 1
    for k in range(5):
        assert not tree.refusal(link("base", "odom"), False, k)
    assert "moves in TF" in tree.refusal(link("base", "odom"), True, 6)
    assert not tree.refusal(link("base", "odom"), False, 7)
    assert not tree.refusal(link("base", "odom"), True, 20 * SECOND)


def test_one_stamp_ahead_of_the_clock_is_ignored_and_a_clock_that_is_ahead_is_not() -> None:
    tree, clock = FrameTree(), 1000 * SECOND
    for k in range(0, 100, 2):
        now = clock + k * SECOND // 10
        assert not tree.refusal(link("base", "odom", stamp=now + SECOND), False, k, now)
        early = link("base", "odom", stamp=now + 100 * SECOND)
        assert "ahead of the clock by 100.0 s" in tree.refusal(early, False, k + 1, now)
    assert not tree.refusal(early, False, 100)  # no clock
    assert not tree.refusal(link("lidar", "base", stamp=1 << 61), True, 100, clock)
    tree = FrameTree()
    refused = [
        tree.refusal(link("base", "odom", stamp=now + 37 * SECOND), False, now, now)
        for now in range(clock, clock + 3 * SECOND, SECOND // 10)
    ]
    assert all(refused[:10]) and not any(refused[11:])


def test_frames_are_not_kept_without_end() -> None:
    tree = FrameTree()
    refused = [tree.refusal(link(f"f{k}", "base"), False, k) for k in range(MAX_FRAMES + 10)]
    assert not any(refused[:MAX_FRAMES]) and all("frames in TF" in r for r in refused[MAX_FRAMES:])
    assert not tree.refusal(link("f7", "base"), False, 0)


def test_what_is_told_no_more_makes_room_and_what_moves_makes_it_for_what_is_static() -> None:
    dropped: list[str] = []
    tree = FrameTree(dropped.append)
    assert not tree.refusal(link("camera", "base"), True, 0)
    for k in range(3 * MAX_FRAMES):  # 100 objects a second, each told once
        assert not tree.refusal(link(f"object{k}", "base"), False, k * SECOND // 100)
    assert "object0" in dropped and "camera" not in dropped and tree.epoch == 1
    full = 61 * SECOND
    for k in range(MAX_FRAMES):
        tree.refusal(link(f"more{k}", "base"), False, full)
    assert "frames in TF" in tree.refusal(link("lidar", "base"), False, full)
    assert not tree.refusal(link("lidar", "base"), True, full)
    assert sorted(one.child_frame_id for one, _ in tree.told()) == ["camera", "lidar"]


@pytest.mark.parametrize(
    "bad",
    [
        link("", "base"),
        link("lidar", "base\x1b[2J"),
        link("x" * 100_000, "base"),
        link("lidar", "base", x=float("nan")),
        link("lidar", "base", w=0.0),
    ],
)
def test_a_transform_that_cannot_be_is_ignored_in_one_short_line(bad) -> None:
    reason = FrameTree().refusal(bad, True, 0)
    assert reason.endswith("ignored") and reason.isprintable() and len(reason) < 300
