"""What sensors are worth is observed frame by frame, and the gate is fitted to tell it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import training_data

from any2seg_ros.datasets import Target, open_source
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.cached_dataset import open_cached
from any2seg_ros.training.gate_fitting import Observation, fit, observe
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality


class Believer:
    """Says the class that is painted in the RGB image, unless the LiDAR speaks, too."""

    def encode(self, images):
        return {m: [image] * 4 for m, image in images.items()}

    def array(self, features):
        return features

    def fuse_all(self, given, size):
        return [SimpleNamespace(labels=self._labels(maps, size)) for maps in given]

    def _labels(self, maps, size):
        width, height = size
        labels = np.zeros((height, width), np.uint8)
        if RGB in maps and LIDAR not in maps:
            labels[height // 2 :] = DELIVER.id("Road")
            labels[: height // 2] = DELIVER.id("Sky")
        return labels


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    root = tmp_path_factory.mktemp("gate")
    training_data.write(root / "data", "train", 4, raw=True)
    target = Target((48, 32), PreprocessingConfig())
    source = open_source(root / "data", target, "train")
    return Mixture([open_cached(source, "data", target, root / "cache")], len(DELIVER))


def test_a_sensor_is_worth_what_is_right_with_it_and_not_without(mixture):
    told = []
    found = observe(Believer(), mixture, 4, progress=lambda *at: told.append(at))
    assert told[-1] == (4, 4) and {o.modality for o in found} == set(Modality)
    lidar = [o for o in found if o.modality == LIDAR]
    assert min(o.worth for o in lidar) < -0.3 and max(o.worth for o in lidar) <= 0
    assert {o.among for o in found} == {2, 3, 4}
    events = [o.worth for o in found if o.modality == EVENT]
    assert not np.any(events)
    assert len(found[0].statistics) == 2 * 4 * 3


def test_the_fitted_gate_leaves_out_the_sensor_that_does_harm(mixture):
    gate = fit(observe(Believer(), mixture, 12))
    seen = {o.modality: o.statistics for o in observe(Believer(), mixture, 1, seed=9)}
    assert LIDAR not in gate.believed(seen) and RGB in gate.believed(seen)


def test_the_fit_tells_broken_from_whole():
    generator = np.random.default_rng(0)
    observations = []
    for frame in range(300):
        broken = generator.random() < 0.5
        seen = generator.normal(2.0 if broken else 0.0, 1, 6).astype(np.float32)
        worth = (-0.3 if broken else 0.1) + generator.normal(0, 0.05)
        observations.append(Observation(LIDAR, seen, 2, worth, frame))
    fitted = fit(observations)
    assert fitted.worth(LIDAR, np.zeros(6), 2) > 0 > fitted.worth(LIDAR, np.full(6, 2.0), 2)
    assert fitted.worth(RGB, np.zeros(6), 2) == 0
