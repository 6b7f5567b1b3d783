"""Features of many images as the stacks that decoders take."""

from __future__ import annotations

import numpy as np

from any2seg_ros.engine.features import everything, stacked


def rows(arrays):
    return [[array[i] for array in arrays] for i in range(len(arrays[0]))]


def test_everything_is_one_choice_of_all():
    assert everything(3) == ((0, 1, 2),)


def test_rows_of_four_arrays_are_stacked_without_a_copy():
    arrays = [np.random.rand(3, c, 4, 5).astype("f4") for c in (1, 2, 3, 4)]
    assert all(np.shares_memory(s, a) for s, a in zip(stacked(rows(arrays)), arrays, strict=True))


def test_rows_in_another_order_fewer_of_them_and_other_arrays_are_copied():
    arrays = [np.random.rand(3, c, 4, 5).astype("f4") for c in (1, 2, 3, 4)]
    for features in (rows(arrays)[::-1], rows(arrays)[:2], [rows(arrays)[0]] * 3):
        for scale, (stack, array) in enumerate(zip(stacked(features), arrays, strict=True)):
            assert not np.shares_memory(stack, array)
            expected = np.stack([feature[scale] for feature in features])
            np.testing.assert_array_equal(stack, expected)


def test_stacks_are_float32():
    features = [[np.ones((1, 2, 2), np.float64)] * 4] * 2
    assert {stack.dtype for stack in stacked(features)} == {np.dtype("f4")}
