"""Scales of range and height."""

from __future__ import annotations

import numpy as np

from any2seg_ros.preprocessing.ranges import RangeScale

SCALE = RangeScale(near=1.0, far=100.0, low=-3.0, high=7.0)


def test_closeness_falls_with_the_logarithm_of_the_distance():
    distance = np.array([0.1, 1.0, 10.0, 100.0, 1e6], np.float32)
    np.testing.assert_allclose(SCALE.closeness(distance), [1, 1, 0.5, 0, 0], atol=1e-6)


def test_nearness_is_the_inverse_distance_up_to_one():
    distance = np.array([0.1, 1.0, 4.0, 100.0], np.float32)
    np.testing.assert_allclose(SCALE.nearness(distance), [1, 1, 0.25, 0.01])


def test_elevation_counts_upwards_from_below_the_camera():
    y = np.array([5.0, 3.0, 0.0, -2.0, -7.0, -30.0], np.float32)
    np.testing.assert_allclose(SCALE.elevation(y), [0, 0, 0.3, 0.5, 1, 1], atol=1e-6)


def test_what_is_almost_at_the_sensor_is_near_without_a_word():
    with np.errstate(over="raise"):
        assert RangeScale().nearness(np.full(2, 1e-44, np.float32)).tolist() == [1.0, 1.0]
