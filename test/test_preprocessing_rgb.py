"""Pictures to modality images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.preprocessing.rgb import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    preprocess_ready_image,
    preprocess_rgb,
    shrink,
)
from any2seg_ros.types import Camera, InvalidMeasurement, Measurement, Modality

REFERENCE = Camera(640, 360, 400.0, 400.0, 319.5, 179.5, (-0.2, 0.05, 0.0, 0.0, 0.0))
VIEW = REFERENCE.resized(160, 90)
RANDOM = np.random.default_rng(0)
PICTURE = cv2.resize(RANDOM.integers(0, 256, (9, 16, 3), np.uint8), (640, 360))


def rgb(data, camera=None, matrix=None):
    return Measurement(Modality.RGB, 1, data, camera, np.eye(4) if matrix is None else matrix)


def levels(image):
    """Back to 0..255, (h, w, 3)."""
    return (image.transpose(1, 2, 0) * IMAGENET_STD + IMAGENET_MEAN) * 255


def test_a_picture_is_shrunk_and_normalised_by_the_statistics_of_imagenet():
    image = preprocess_rgb(rgb(PICTURE, REFERENCE), VIEW)
    assert image.shape == (3, 90, 160) and image.dtype == np.float32
    expected = cv2.resize(PICTURE, (160, 90), interpolation=cv2.INTER_AREA)
    assert np.abs(levels(image) - expected).max() < 1.0


def test_a_picture_whose_channels_are_turned_round_gives_the_same_image():
    turned = np.ascontiguousarray(PICTURE[..., ::-1])[..., ::-1]
    assert turned.strides[2] < 0
    expected = preprocess_rgb(rgb(PICTURE), VIEW)
    np.testing.assert_array_equal(preprocess_rgb(rgb(turned), VIEW), expected)


def test_grey_has_three_equal_channels_before_normalisation():
    image = levels(preprocess_rgb(rgb(PICTURE[..., 0]), VIEW))
    np.testing.assert_allclose(image[..., 0], image[..., 1], atol=1e-3)
    np.testing.assert_allclose(image[..., 0], image[..., 2], atol=1e-3)


def test_a_ready_image_is_scaled_to_one_and_a_single_channel_is_repeated():
    data = np.full((360, 640), 51, np.uint8)
    image = preprocess_ready_image(Measurement(Modality.EVENT, 1, data), VIEW)
    np.testing.assert_allclose(image, 0.2, atol=1e-6)
    colours = np.dstack([data, data * 0, data * 5])
    image = preprocess_ready_image(Measurement(Modality.DEPTH, 1, colours), VIEW)
    np.testing.assert_allclose(image[:, 0, 0], [0.2, 0, 1], atol=1e-6)


def test_a_camera_that_looks_elsewhere_is_turned_into_the_view():
    # A camera turned by two degrees to the right sees what is ahead to the left of its centre.
    half = np.deg2rad(2.0) / 2
    matrix = transform((0, 0, 0), (0, np.sin(half), 0, np.cos(half)))
    camera = Camera(640, 360, 400.0, 400.0, 319.5, 179.5)
    shift = int(round(400.0 * np.tan(np.deg2rad(2.0))))
    data = np.zeros((360, 640, 3), np.uint8)
    data[170:190, 320 - shift - 10 : 320 - shift + 10] = 255
    image = levels(preprocess_rgb(rgb(data, camera, matrix), VIEW))[..., 0]
    v, u = (np.argwhere(image > 200)).mean(0)
    assert abs(u - 79.5) < 1 and abs(v - 44.5) < 1


def test_what_another_camera_does_not_see_is_the_mean_colour():
    camera = Camera(640, 360, 1600.0, 1600.0, 319.5, 179.5)
    image = preprocess_rgb(rgb(np.full((360, 640, 3), 255, np.uint8), camera), VIEW)
    assert (image[:, 0, 0] == 0).all()
    assert (image[:, 45, 80] > 1).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PICTURE[:100], "another size than its camera_info"),
        (PICTURE.astype(np.float32), "uint8"),
        (np.zeros((360, 640, 2), np.uint8), "channels"),
        (np.zeros((0, 0, 3), np.uint8), "uint8"),
        (None, "uint8"),
    ],
)
def test_what_is_no_picture_of_the_camera_is_unusable(data, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        preprocess_rgb(rgb(data, REFERENCE), VIEW)


@pytest.mark.parametrize("size", [(160, 90), (150, 80), (640, 360), (800, 500), (320, 90)])
def test_shrinking_keeps_the_picture(size):
    expected = cv2.resize(PICTURE, size, interpolation=cv2.INTER_AREA)
    assert np.abs(shrink(PICTURE, *size).astype(int) - expected).mean() < 2
