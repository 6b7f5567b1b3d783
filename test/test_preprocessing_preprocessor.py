"""The Preprocessor: what a frame's measurements become."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.types import Availability, Camera, Events, Frame, Measurement, Modality

REFERENCE = Camera(640, 360, 400.0, 400.0, 319.5, 179.5, (-0.1, 0.01, 0.0, 0.0, 0.0))
SIZE = (160, 96)
STAMP = 10**9
RANDOM = np.random.default_rng(0)


def measurements():
    count = 500
    return {
        Modality.RGB: RANDOM.integers(0, 255, (360, 640, 3), dtype=np.uint8),
        Modality.DEPTH: RANDOM.integers(500, 9000, (360, 640)).astype(np.uint16),
        Modality.LIDAR: RANDOM.uniform(1, 20, (count, 4)).astype(np.float32) * [1, 1, 1, 0.05],
        Modality.EVENT: Events(
            np.full(count, STAMP - 5),
            RANDOM.integers(0, 640, count).astype(np.uint16),
            RANDOM.integers(0, 360, count).astype(np.uint16),
            RANDOM.random(count) > 0.5,
            640,
            360,
        ),
    }


def frame(**change):
    made = []
    for modality, data in measurements().items():
        made.append(Measurement(modality, STAMP, change.get(modality.label, data)))
    return Frame.of(*made)


def test_every_modality_becomes_an_image_of_the_same_size():
    placed = Preprocessor(REFERENCE, SIZE).preprocess(frame())
    assert list(placed.images) == list(Modality)
    for modality, image in placed.images.items():
        assert image.shape == (3, 96, 160) and image.dtype == np.float32
        assert image.flags.c_contiguous
        assert np.isfinite(image).all()
        if modality != Modality.RGB:
            assert image.min() >= 0 and image.max() <= 1
    assert set(placed.availability.values()) == {Availability.OK}


@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        np.zeros((0, 0)),
        np.zeros((0, 4), np.float32),
        np.zeros(7),
        np.zeros((3, 3, 3, 3), np.uint8),
        np.zeros((360, 640, 2), np.uint8),
        np.full((5, 4), np.nan, np.float32),
        np.zeros((360, 640), np.complex64),
    ],
)
def test_a_measurement_that_cannot_be_used_is_invalid_and_the_others_are_placed(modality, data):
    placed = Preprocessor(REFERENCE, SIZE).preprocess(frame(**{modality.label: data}))
    assert placed.availability[modality] == Availability.INVALID
    assert placed.reasons[modality]
    assert set(placed.images) == set(Modality) - {modality}


def test_what_is_missing_stays_missing_and_what_is_held_stays_held():
    data = measurements()[Modality.RGB]
    measurement = Measurement(Modality.RGB, STAMP, data)
    availability = dict.fromkeys(Modality, Availability.MISSING)
    availability[Modality.RGB] = Availability.HELD
    reasons = {Modality.DEPTH: "no message"}
    held = Frame(STAMP, {Modality.RGB: measurement}, availability, reasons)
    placed = Preprocessor(REFERENCE, SIZE).preprocess(held)
    assert placed.availability == availability
    assert placed.reasons == reasons
    assert list(placed.images) == [Modality.RGB]


@pytest.mark.parametrize("modality", [Modality.DEPTH, Modality.LIDAR, Modality.EVENT])
@pytest.mark.parametrize("shape", [(360, 640, 3), (180, 320), (720, 1280, 3)])
def test_ready_images_are_taken_for_every_modality_but_rgb(modality, shape):
    data = np.full(shape, 102, np.uint8)
    placed = Preprocessor(REFERENCE, SIZE).preprocess(frame(**{modality.label: data}))
    np.testing.assert_allclose(placed.images[modality], 0.4, atol=1e-6)


def test_an_aligned_image_of_other_proportions_is_invalid():
    placed = Preprocessor(REFERENCE, SIZE).preprocess(frame(rgb=np.zeros((480, 640, 3), np.uint8)))
    assert placed.reasons[Modality.RGB].startswith("image has other proportions")


def test_aligned_events_of_other_proportions_are_invalid():
    data = measurements()[Modality.EVENT]
    tall = Events(data.t, data.x, data.y, data.p, 2000, 2000)
    placed = Preprocessor(REFERENCE, SIZE).preprocess(frame(event=tall))
    assert placed.reasons[Modality.EVENT].startswith("image has other proportions")


def test_depth_and_lidar_say_the_same_of_the_same_wall():
    # A wall at 8 m, seen by the depth camera and by a LiDAR beside it.
    matrix = transform((0.3, -0.4, 0.1), (0.5, -0.5, 0.5, -0.5))
    side, up = np.meshgrid(np.linspace(-3, 3, 300), np.linspace(-1.5, 1.5, 200))
    points = np.stack([side.ravel(), up.ravel(), np.full(side.size, 8.0), np.ones(side.size)])
    cloud = (np.linalg.inv(matrix) @ points).T.astype(np.float32)
    placer = Preprocessor(REFERENCE, SIZE)
    lidar = placer.preprocess_one(Measurement(Modality.LIDAR, STAMP, cloud, None, matrix))
    wall = np.full((360, 640), 8.0, np.float32)
    depth = placer.preprocess_one(Measurement(Modality.DEPTH, STAMP, wall))
    seen = lidar[0] > 0
    assert seen.sum() > 2000
    # Range is a little more than depth beside the axis; heights are equal up to a pixel and a half.
    assert np.abs(lidar[0] - depth[0])[seen].max() < 0.03
    assert np.abs(lidar[2] - depth[2])[seen].max() < 0.015


@pytest.mark.parametrize(
    "change",
    [
        {"range_near": 0.0},
        {"range_near": 200.0},
        {"height_low": 9.0},
        {"lidar_dilation": 0},
        {"lidar_dilation": 100_000},
        {"event_window_ms": 0.0},
        {"event_window_ms": 1e9},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match="must be"):
        PreprocessingConfig(**change)


def test_settings_reach_the_images():
    silent = Events(*(np.zeros(0, d) for d in (np.int64, np.uint16, np.uint16, bool)), 640, 360)
    config = PreprocessingConfig(event_minimum=0, range_far=50.0)
    placed = Preprocessor(REFERENCE, SIZE, config).preprocess(frame(event=silent))
    assert not placed.images[Modality.EVENT].any()
    assert placed.images[Modality.DEPTH][0].mean() < (
        Preprocessor(REFERENCE, SIZE).preprocess(frame()).images[Modality.DEPTH][0].mean()
    )


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=16, max_size=320))
def test_a_cloud_of_any_bits_is_placed_or_refused_without_a_warning(data):
    cloud = np.frombuffer(data[: len(data) // 16 * 16], np.float32).reshape(-1, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        placed = Preprocessor(REFERENCE, SIZE).preprocess(frame(lidar=cloud))
    image = placed.images.get(Modality.LIDAR)
    assert image is None or (image >= 0).all() and (image <= 1).all()


def test_what_nobody_thought_of_costs_its_own_sensor_only(monkeypatch):
    def trip(*_):
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr("any2seg_ros.preprocessing.preprocessor.preprocess_rgb", trip)
    placed = Preprocessor(REFERENCE, SIZE).preprocess(frame())
    assert list(placed.images) == [Modality.DEPTH, Modality.LIDAR, Modality.EVENT]
    assert placed.availability[Modality.RGB] == Availability.INVALID
    assert "preprocessing failed: ZeroDivisionError" in placed.reasons[Modality.RGB]


@pytest.mark.parametrize("focal", [1e-6, 1e6])
def test_absurd_cameras_do_not_fail_and_do_not_hang(focal):
    camera = Camera(640, 360, focal, focal, 319.5, 179.5)
    made = [Measurement(m, STAMP, data, camera) for m, data in measurements().items()]
    Preprocessor(REFERENCE, SIZE).preprocess(Frame.of(*made))
