"""Groups of subsets by their number of modalities: one, several, all."""

from __future__ import annotations

from collections.abc import Sequence

from any2seg_ros.types import Modality

GROUPS = 3
ONE, SEVERAL, ALL = range(GROUPS)
"""Groups of subsets by their number of modalities."""


def group_of(count: int) -> int:
    """The group of subsets of `count` modalities: ONE, ALL of the vocabulary, or SEVERAL."""
    return ONE if count == 1 else ALL if count == len(Modality) else SEVERAL


def by_group(counts: Sequence[int]) -> dict[int, list[int]]:
    """The indices of `counts` of modalities, by group."""
    groups: dict[int, list[int]] = {}
    for index, count in enumerate(counts):
        groups.setdefault(group_of(count), []).append(index)
    return groups
