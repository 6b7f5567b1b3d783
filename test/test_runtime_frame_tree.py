"""Transforms that would take the poses of others: loops, floods, numbers that are none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from any2seg_ros.runtime.frame_tree import MAX_FRAMES, FrameTree

SECOND = 1_000_000_000


def link(child: str, parent: str, x: float = 0.0, w: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=parent),
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


def test_frames_are_not_kept_without_end() -> None:
    tree = FrameTree()
    refused = [tree.refusal(link(f"f{k}", "base"), False, k) for k in range(MAX_FRAMES + 10)]
    assert not any(refused[:MAX_FRAMES]) and all("frames in TF" in r for r in refused[MAX_FRAMES:])
    assert not tree.refusal(link("f7", "base"), False, 0)


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
