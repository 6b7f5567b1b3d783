"""Class tables: their sizes, well-known rows, and colouring."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros import taxonomy


def test_deliver_has_25_classes_and_muses_19_with_colours_of_their_own():
    assert len(taxonomy.DELIVER) == 25
    assert len(taxonomy.CITYSCAPES) == 19
    for table in taxonomy.TAXONOMIES.values():
        assert len(set(table.colors)) == len(table.classes) == len(set(table.classes))


def test_ids_are_those_of_the_data_sets():
    assert taxonomy.DELIVER.id("Sky") == 12
    assert taxonomy.DELIVER.id("Truck") == 24
    assert taxonomy.CITYSCAPES.id("bicycle") == 18


def test_ignored_pixels_are_black_and_classes_have_their_colour():
    labels = np.array([[6, 255]], np.uint8)
    assert taxonomy.DELIVER.colorize(labels).tolist() == [[[128, 64, 128], [0, 0, 0]]]


def test_an_unknown_taxonomy_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match="deliver, cityscapes"):
        taxonomy.get("ade20k")
