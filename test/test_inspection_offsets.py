"""Time offsets of signals whose offset is known."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.inspection.offsets import Spline, TimeOffset, Turns, clipped, turn_offset
from any2seg_ros.types import Modality

RGB, LIDAR = Modality.RGB, Modality.LIDAR


def angles(times: np.ndarray) -> np.ndarray:
    """A vehicle's pitch, yaw and roll in rad: suspension, sway, and vibration beyond sampling."""
    pitch = 0.005 * np.sin(8.1 * times + 1) + 0.003 * np.sin(5.3 * times)
    yaw = 0.02 * np.sin(1.9 * times) + 0.002 * np.sin(9.1 * times + 2)
    roll = 0.004 * np.sin(6.7 * times + 2)
    shaking = 0.0003 * np.sin(np.outer(times, [83.0, 71.0, 79.0]) + [0, 1, 2])
    return np.stack([pitch, yaw, roll], 1) + shaking


def turns(rate: float, begin: float, late: float, noise: float = 2e-4, seconds: float = 15.0):
    times = np.arange(round(rate * seconds)) / rate + begin
    rows = np.vstack([np.full(3, np.nan), np.diff(angles(times), axis=0)])
    rows += np.random.default_rng(round(1e3 * begin)).normal(0, noise, rows.shape)
    return Turns(times + late, rows)


@pytest.mark.parametrize("late", [-0.08, -0.04, 0.0, 0.02, 0.06, 0.08])
@pytest.mark.parametrize(
    ("rate", "begin"), [(10.0, 0.0), (10.0, 0.033), (20.0, 0.071), (7.0, 0.01)]
)
def test_an_offset_is_found_wherever_samples_lie(late, rate, begin):
    found = turn_offset((LIDAR, turns(rate, begin, late)), (RGB, turns(10.0, 0.0, 0.0)))
    assert not found.unknown
    assert found.late == pytest.approx(late, abs=0.005)
    assert 0.001 < found.sigma < 0.008 and found.agreement > 0.9
    assert found.is_significant == (abs(late) > 0.015)


def test_outliers_and_holes_move_nothing():
    mine = turns(10.0, 0.033, 0.05)
    mine.turns[20:130:11, 1] = 0.5
    mine.turns[25:130:13] = np.nan
    found = turn_offset((LIDAR, mine), (RGB, turns(10.0, 0.0, 0.0)))
    assert found.late == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(
    ("mine", "why"),
    [
        (turns(2.0, 0.0, 0.0, seconds=60.0), "lidar: 2.0 Hz are too few"),
        (turns(10.0, 0.0, 0.0, seconds=3.0), "lidar: 30 measurements are too few"),
        (turns(10.0, 0.0, 60.0), "they overlap for too short a time"),
        (turns(10.0, 0.0, 0.0, noise=0.1), "their motions do not agree"),
        (Turns(np.arange(100) / 10, np.full((100, 3), np.nan)), "its motion cannot be followed"),
        (Turns(np.empty(0), np.empty((0, 3))), "no measurements"),
    ],
)
def test_where_it_cannot_be_told_the_reason_is(mine, why):
    found = turn_offset((LIDAR, mine), (RGB, turns(10.0, 0.0, 0.0)))
    assert why in found.unknown and found.text.startswith("cannot tell: ")
    assert not found.is_significant


def test_a_drive_without_turns_cannot_tell():
    still = Turns(np.arange(150) / 10, np.random.default_rng(0).normal(0, 1e-4, (150, 3)))
    other = Turns(np.arange(150) / 10, np.random.default_rng(1).normal(0, 1e-4, (150, 3)))
    assert "do not agree" in turn_offset((LIDAR, still), (RGB, other)).unknown


def test_text_is_for_tables():
    assert TimeOffset(LIDAR, RGB, 0.0404, 0.0031).text == "+40 ± 3 ms against rgb"


def test_a_spline_goes_through_its_points_and_is_smooth_between_them():
    times = np.cumsum(np.random.default_rng(0).uniform(0.08, 0.12, 100))
    spline = Spline(times, angles(times))
    np.testing.assert_allclose(spline(times), angles(times), atol=1e-12)
    slow = Spline(times, np.sin(3 * times)[:, None])
    between = np.linspace(times[5], times[-5], 500)
    np.testing.assert_allclose(slow(between)[:, 0], np.sin(3 * between), atol=1e-4)


def test_clipping_leaves_what_is_usual():
    values = np.random.default_rng(0).normal(0, 1, (200, 2))
    values[3], values[7, 0] = np.nan, 100.0
    kept = clipped(values)
    assert np.isfinite(kept).all() and kept.max() < 6
    assert (kept[10:] == values[10:]).mean() > 0.98
