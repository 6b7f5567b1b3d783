"""Groups by number of modalities."""

from __future__ import annotations

from any2seg_ros.network.modality_groups import ALL, ONE, SEVERAL, by_group, group_of


def test_one_and_all_are_groups_of_their_own():
    assert [group_of(count) for count in (1, 2, 3, 4)] == [ONE, SEVERAL, SEVERAL, ALL]


def test_indices_are_told_by_group():
    assert by_group([1, 4, 2, 3, 1]) == {ONE: [0, 4], ALL: [1], SEVERAL: [2, 3]}
    assert by_group([]) == {}
