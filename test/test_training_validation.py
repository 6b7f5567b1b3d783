"""Validation while training: each subset is scored with its own maps, and only what there is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.validation import (
    calibration_error,
    fit_temperatures,
    some_frames,
    temperature,
    together_and_alone,
    validate,
)
from any2seg_ros.types import IGNORE, Modality

RGB, DEPTH, LIDAR, EVENT = Modality


class Preprocessed:
    """Four frames whose label is class 0 on the left, 1 on the right."""

    def __init__(self, sensors: tuple[Modality, ...]) -> None:
        self.images = np.zeros((4, 4, 3, 4, 8), np.float16)
        self.labels = np.zeros((4, 8, 16), np.uint8)
        self.labels[:, :, 8:] = 1
        self.present = np.isin(np.arange(4), sensors)[None].repeat(4, 0)

    def __len__(self) -> int:
        return 4

    def class_groups(self, taxonomy):
        return ClassGroups.of_classes(taxonomy)


class Fake:
    """Is right where RGB is among the maps, and says class 0 everywhere else."""

    taxonomy = DELIVER

    def encode(self, images):
        assert images, "no modality image"
        return {m: m for m in images}

    def fuse_all(self, given, size):
        return [self._seen(maps, size) for maps in given]

    def _seen(self, maps, size):
        labels = np.zeros(size[::-1], np.uint8)
        if RGB in maps:
            labels[:, size[0] // 2 :] = 1
        return SimpleNamespace(labels=labels)

    def logits(self, maps):
        planes = np.zeros((2, 2, 4), np.float32)
        planes[0] = 2.0
        return planes, None


def test_each_subset_is_scored_with_its_own_maps():
    told = validate(Fake(), Preprocessed(tuple(Modality)))
    assert list(told) == ["rgb+depth+lidar+event", "rgb", "depth", "lidar", "event"]
    assert told["rgb+depth+lidar+event"] == told["rgb"] == 100
    assert told["depth"] == told["lidar"] == told["event"] == 25


def test_sensors_that_the_data_lack_are_not_scored():
    assert list(validate(Fake(), Preprocessed((RGB, EVENT)))) == ["rgb+event", "rgb", "event"]
    chosen = validate(Fake(), Preprocessed((RGB, EVENT)), subsets=[(DEPTH,), (RGB,)])
    assert chosen == {"depth": 0, "rgb": 100}


def test_a_sensor_that_a_frame_lacks_costs_its_subset_that_frame():
    placed = Preprocessed((RGB, EVENT))
    placed.present[0, RGB] = False
    assert validate(Fake(), placed)["rgb"] == pytest.approx(75)


def test_frames_without_a_sensor_are_passed_over():
    placed = Preprocessed((RGB, EVENT))
    placed.present[1] = False
    assert validate(Fake(), placed)["rgb"] == 100
    assert set(fit_temperatures(Fake(), [placed])) == {"rgb", "event", "rgb+event"}
    assert some_frames(placed, 0) == [0, 2, 3] and some_frames(placed, 1) == [2]


def test_a_single_sensor_is_scored_once():
    assert together_and_alone(Preprocessed((LIDAR,)).present) == [(LIDAR,)]


def test_a_subset_without_a_labelled_pixel_has_no_temperature():
    placed = Preprocessed((RGB, EVENT))
    placed.present[1:, EVENT] = False
    assert set(fit_temperatures(Fake(), [placed])) == {"rgb", "event", "rgb+event"}
    placed.labels[0] = IGNORE
    assert set(fit_temperatures(Fake(), [placed])) == {"rgb"}


def test_the_temperature_that_made_logits_too_sure_is_found():
    generator = np.random.default_rng(0)
    honest = generator.standard_normal((20000, 4)) * 2
    chances = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    truth = (chances.cumsum(1) > generator.random((20000, 1))).argmax(1)
    assert temperature(honest * 2.5, np.eye(4, dtype=bool)[truth]) == pytest.approx(2.5, rel=0.1)


def test_calibration_error_of_a_liar_is_how_much_it_lies():
    confidence = np.full(100, 0.9)
    right = np.arange(100) < 60
    assert calibration_error(confidence, right) == pytest.approx(0.3)
