"""Groups by number of modalities: what is fused alone, with some others, or with all."""

from __future__ import annotations

from collections.abc import Sequence

from any2seg_ros.types import Modality

GROUPS = 3
ONE, SOME, ALL = range(GROUPS)


def group(fused: int) -> int:
    """ONE for one modality that is fused, ALL for all there can be, SOME for what is between."""
    return ONE if fused == 1 else ALL if fused == len(Modality) else SOME


def by_group(counts: Sequence[int]) -> dict[int, list[int]]:
    """The indices of `counts` of fused modalities by their `group`."""
    groups: dict[int, list[int]] = {}
    for index, count in enumerate(counts):
        groups.setdefault(group(count), []).append(index)
    return groups
