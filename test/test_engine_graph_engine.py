"""Choices are decoded with the adapters of their number of modalities, and come back in order."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.engine.graph_engine import GraphEngine
from any2seg_ros.network.modality_groups import ALL, ONE, SEVERAL
from any2seg_ros.types import Modality, all_subsets

RGB, DEPTH, LIDAR, EVENT = Modality


class Told(GraphEngine):
    """Its logits are the choices themselves; keeps what it was asked to decode."""

    def __init__(self, adapters: bool) -> None:
        super().__init__(SimpleNamespace(has_adapters=adapters, mixing=lambda *told: [told]))
        self.asked: list = []

    def _decode(self, features, choices, mixing):
        self.asked.append((choices, mixing))
        weights = [[float(i in one) / len(one) for i in range(len(features))] for one in choices]
        return list(choices), np.array(weights, np.float32)


CHOICES = ((0, 1, 2, 3), (2,), (0, 3), (1,), (0, 1, 2))


@pytest.mark.parametrize("adapters", [False, True])
def test_choices_come_back_in_the_order_that_they_were_asked_for_in(adapters):
    logits, weights = Told(adapters).segment([[]] * 4, tuple(Modality), CHOICES)
    assert tuple(logits) == CHOICES
    for row, chosen in zip(weights, CHOICES, strict=True):
        assert row.nonzero()[0].tolist() == list(chosen) and row.sum() == pytest.approx(1)


def test_with_adapters_choices_of_one_group_are_decoded_together():
    engine = Told(adapters=True)
    engine.segment([[]] * 4, tuple(Modality), CHOICES)
    assert {mixing[0]: choices for choices, mixing in engine.asked} == {
        ALL: ((0, 1, 2, 3),),
        ONE: ((2,), (1,)),
        SEVERAL: ((0, 3), (0, 1, 2)),
    }
    assert all(mixing[1:] == tuple(Modality) for _, mixing in engine.asked)


def test_without_adapters_all_choices_are_decoded_at_once():
    engine = Told(adapters=False)
    engine.segment([[]] * 4, tuple(Modality), CHOICES)
    assert engine.asked == [(CHOICES, ())]


def test_without_choices_everything_is_one():
    engine = Told(adapters=True)
    logits, _ = engine.segment([[]] * 2, (LIDAR, EVENT))
    assert logits == [(0, 1)] and engine.asked == [(((0, 1),), (SEVERAL, LIDAR, EVENT))]


def test_the_matrices_are_those_of_the_group_and_the_modalities():
    engine = Told(adapters=True)
    assert engine._matrices((SEVERAL, RGB, EVENT)) == [(SEVERAL, [RGB, EVENT])]
    assert engine._matrices(()) == []


def test_every_subset_of_the_sensors_is_prepared():
    assert Told(False).subsets_to_prepare((EVENT, RGB)) == all_subsets((RGB, EVENT))
