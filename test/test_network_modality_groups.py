"""Groups of subsets: one modality, several, all."""

from __future__ import annotations

from any2seg_ros.network.modality_groups import ALL, ONE, SEVERAL, by_group, group_of


def test_one_and_all_modalities_are_groups_of_their_own():
    assert [group_of(count) for count in (1, 2, 3, 4)] == [ONE, SEVERAL, SEVERAL, ALL]


def test_indices_are_sorted_into_groups_in_their_order():
    assert by_group([4, 1, 3, 2, 4]) == {ALL: [0, 4], ONE: [1], SEVERAL: [2, 3]}
    assert by_group([]) == {}
