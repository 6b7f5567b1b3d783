"""What a scene's sensors measure belongs together, and depends on nothing but its spec."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest
from simulated_street import SETTINGS, SIZE, make

from any2seg_ros.preprocessing.preprocessor import Preprocessor
from any2seg_ros.simulation.scene import Capture, Scene, SceneSpec
from any2seg_ros.simulation.settings import EventSettings
from any2seg_ros.types import Availability


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make()


@pytest.fixture(scope="module")
def capture(scene: Scene) -> Capture:
    return scene.capture(0)


def test_a_shot_does_not_depend_on_the_shots_before_it(scene: Scene, capture: Capture) -> None:
    other = Scene(scene.spec, SETTINGS)
    other.capture(1)
    again = other.capture(0)
    for a, b in (
        (capture.rgb, again.rgb), (capture.labels, again.labels), (capture.depth, again.depth),
        (capture.cloud.points, again.cloud.points), (capture.events.t, again.events.t),
    ):  # fmt: skip
        assert np.array_equal(a, b)


def test_splits_and_seeds_have_streets_of_their_own() -> None:
    def first(split: str, seed: int) -> np.ndarray:
        spec = SceneSpec(split, 3, "sun", seed=seed)
        return np.random.default_rng(spec.sequence(0)).random(4)

    draws = [first("train", 0), first("val", 0), first("test", 0), first("train", 1)]
    assert len({tuple(draw) for draw in draws}) == 4


def test_events_add_up_to_the_change_of_log_intensity(scene: Scene) -> None:
    sensor = scene._event_sensor(0)
    sensor.noise_rate = 0.0
    object.__setattr__(sensor, "settings", EventSettings(width=128, height=72, refractory=0.0))
    begin, end = 1.0, 1.02
    before, after = scene.intensity(begin), scene.intensity(end)
    sensor.start(scene.stamp(begin), before)
    events = sensor.advance(scene.stamp(end), after)
    pixel = events.y.astype(int) * events.width + events.x
    ups = np.bincount(pixel[events.p], minlength=before.size)
    downs = np.bincount(pixel[~events.p], minlength=before.size)
    change = np.log(after + 0.004).ravel() - np.log(before + 0.004).ravel()
    told = ups * sensor.thresholds[0] - downs * sensor.thresholds[1]
    # What is left untold is less than a threshold and where the pixel stood before.
    assert np.abs(change - told).max() < 2 * sensor.thresholds.max()
    assert (ups[change < -0.01] == 0).all() and (downs[change > 0.01] == 0).all()
    assert len(events) > 500


def test_no_events_but_noise_where_nothing_moves(scene: Scene) -> None:
    sensor = scene._event_sensor(0)
    still = scene.intensity(1.0)
    sensor.start(scene.stamp(1.0), still)
    events = sensor.advance(scene.stamp(1.1), still)
    expected = still.size * 0.1 * scene.settings.event.noise_rate
    assert abs(len(events) - expected) < 5 * np.sqrt(expected) + 1


def test_a_frame_is_placed_by_the_vehicles_own_code(scene: Scene, capture: Capture) -> None:
    placed = Preprocessor(scene.rig.rgb, SIZE).preprocess(scene.frame(capture))
    assert set(placed.availability.values()) == {Availability.OK}
    assert all(image.shape == (3, SIZE[1], SIZE[0]) for image in placed.images.values())


def test_failure_cases_strike_their_sensor_and_spare_the_labels() -> None:
    good = make("cloud").capture(0)
    over, under = (
        make("cloud", "overexposure").capture(0),
        make("cloud", "underexposure").capture(0),
    )
    assert under.rgb.mean() < 0.6 * good.rgb.mean() < 0.6 * over.rgb.mean()
    assert (over.rgb > 250).mean() > 0.2
    blurred = make("cloud", "motionblur").capture(0)
    assert cv2.Laplacian(blurred.rgb, cv2.CV_32F).std() < cv2.Laplacian(good.rgb, cv2.CV_32F).std()
    low = make("cloud", "eventlowres").capture(0)
    assert (low.events.width, low.events.height) == (64, 36)
    for capture in (over, under, blurred, low):
        assert np.array_equal(capture.labels, good.labels)
