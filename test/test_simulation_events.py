"""The event camera follows the log-intensity threshold model."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.events import EventSensor
from any2seg_ros.simulation.settings import EventSettings

EXACT = EventSettings(threshold=0.2, threshold_spread=0.0, refractory=0.0, noise_rate=0.0)
FLOOR = 0.004
"""The light that a dark pixel still sees, as in the sensor."""


def sensor(settings: EventSettings = EXACT, size: tuple[int, int] = (4, 3)) -> EventSensor:
    return EventSensor(size, settings, np.random.SeedSequence(1), np.random.SeedSequence(2))


def test_a_rise_of_log_intensity_makes_an_event_at_every_threshold() -> None:
    camera = sensor()
    dark = np.full((3, 4), 1.0)
    bright = dark.copy()
    bright[1, 2] = (1.0 + FLOOR) * np.exp(2.0) - FLOOR
    camera.start(0, dark)
    events = camera.advance(10_000_000, bright)
    assert set(zip(events.x.tolist(), events.y.tolist(), strict=True)) == {(2, 1)}
    assert events.p.all()
    assert len(events) in (9, 10)
    # The logarithm rises evenly, so that thresholds are crossed at even distances of time.
    steps = np.diff(events.t)
    assert np.allclose(steps, 1_000_000, atol=2000)


def test_a_fall_makes_negative_events() -> None:
    camera = sensor()
    camera.start(0, np.full((3, 4), 1.0))
    events = camera.advance(1_000_000, np.full((3, 4), 0.4))
    assert len(events) >= 12 * 3
    assert not events.p.any()


def test_small_changes_add_up_over_renders() -> None:
    camera = sensor()
    levels = np.exp(np.linspace(0.0, 1.0, 21))
    camera.start(0, np.full((3, 4), levels[0]))
    count = sum(
        len(camera.advance((k + 1) * 1_000_000, np.full((3, 4), level)))
        for k, level in enumerate(levels[1:])
    )
    assert 12 * 4 <= count <= 12 * 6


def test_events_are_in_order_and_within_the_interval() -> None:
    camera = sensor(EventSettings(), (64, 48))
    rng = np.random.default_rng(3)
    camera.start(5_000_000, rng.uniform(0.1, 1.0, (48, 64)))
    events = camera.advance(9_000_000, rng.uniform(0.1, 1.0, (48, 64)))
    assert (np.diff(events.t) >= 0).all()
    assert events.t[0] > 5_000_000 and events.t[-1] <= 9_000_000
    assert events.t.dtype == np.int64 and events.x.dtype == np.uint16 and events.p.dtype == bool
    assert events.x.max() < 64 and events.y.max() < 48


def test_a_pixel_rests_after_an_event() -> None:
    settings = EventSettings(threshold=0.2, threshold_spread=0.0, refractory=0.003, noise_rate=0.0)
    camera = sensor(settings)
    camera.start(0, np.full((3, 4), 0.1))
    gaps = []
    last = np.full(12, -(10**12))
    for k in range(1, 4):
        events = camera.advance(k * 10_000_000, np.full((3, 4), 0.1 * np.exp(k * 2.0)))
        for t, pixel in zip(events.t, events.y.astype(int) * 4 + events.x, strict=True):
            gaps.append(t - last[pixel])
            last[pixel] = t
    assert min(gaps) >= 3_000_000


def test_background_events_come_at_their_rate() -> None:
    settings = EventSettings(noise_rate=2.0)
    camera = sensor(settings, (64, 48))
    still = np.full((48, 64), 0.5)
    camera.start(0, still)
    events = camera.advance(1_000_000_000, still)
    expected = 64 * 48 * 2.0
    assert abs(len(events) - expected) < 5 * np.sqrt(expected)


def test_pixels_have_thresholds_of_their_own_that_belong_to_the_sensor() -> None:
    one, other = sensor(EventSettings(), (64, 48)), sensor(EventSettings(), (64, 48))
    assert np.array_equal(one.thresholds, other.thresholds)
    assert 0.03 < one.thresholds.std() < 0.04


def test_a_sensor_without_a_first_render_says_so() -> None:
    with pytest.raises(ValueError, match="start"):
        sensor().advance(1, np.ones((3, 4)))
