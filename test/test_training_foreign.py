"""Views of a cloud as other LiDARs would measure it, and pictures of other cameras."""

from __future__ import annotations

import numpy as np

from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.preprocessing.lidar import preprocess_lidar
from any2seg_ros.preprocessing.ranges import RangeScale
from any2seg_ros.training import foreign
from any2seg_ros.training.cached_dataset import Cloud
from any2seg_ros.training.window import Window
from any2seg_ros.types import Camera, Measurement, Modality

CONFIG = PreprocessingConfig()
VIEW = Camera(64, 36, 40.0, 40.0, 31.5, 17.5)
WHOLE = Window(0, 0, 1, 1, (64, 36))
POSE = np.array([[0, -1, 0, 0], [0, 0, -1, -0.4], [1, 0, 0, -0.2], [0, 0, 0, 1.0]])


def cloud(seed=0):
    generator = np.random.default_rng(seed)
    points = generator.uniform((3, -20, -2, 0), (60, 20, 4, 1), (4000, 4)).astype(np.float32)
    return Cloud(points, POSE, VIEW)


def placed(points, view=VIEW):
    scale = RangeScale(CONFIG.range_near, CONFIG.range_far, CONFIG.height_low, CONFIG.height_high)
    return preprocess_lidar(Measurement(Modality.LIDAR, 1, points, None, POSE), view, scale)


def test_without_a_share_a_cloud_is_what_the_vehicle_makes_of_it():
    image = foreign.lidar(cloud(), WHOLE, 0.0, np.random.default_rng(0), CONFIG)
    np.testing.assert_allclose(image, placed(cloud().points), atol=1e-5)


def test_a_window_shows_the_points_that_are_in_it():
    window = Window(0.25, 0.5, 0.5, 0.25, (64, 36))
    image = foreign.lidar(cloud(), window, 0.0, np.random.default_rng(0), CONFIG)
    wide = Camera(256, 72, 160.0, 80.0, (31.5 + 0.5) * 4 - 0.5, (17.5 + 0.5) * 2 - 0.5)
    whole = placed(cloud().points, wide)
    inside = whole[:, 18:54, 128:192][:, 1:, 1:]  # a point is two pixels wide
    np.testing.assert_allclose(image[:, 1:, 1:], inside, atol=1e-5)


def test_other_laws_change_intensities_and_little_of_where_points_are():
    plain = placed(cloud().points)
    seen = plain.any(0)
    intensities, kept = [], []
    for seed in range(40):
        image = foreign.lidar(cloud(), WHOLE, 1.0, np.random.default_rng(seed), CONFIG)
        assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
        intensities.append(image[1][image.any(0)].mean())
        kept.append(image.any(0).sum() / seen.sum())
        assert (image.any(0) & ~_near(seen)).mean() < 0.01
    assert np.std(intensities) > 0.1 and np.std(kept) > 0.1 and max(kept) < 1.1


def _near(seen):
    """Pixels within two of one that is seen: a shaken calibration moves points so far."""
    near = np.zeros_like(seen)
    padded = np.pad(seen, 2)
    for dy in range(5):
        for dx in range(5):
            near |= padded[dy : dy + seen.shape[0], dx : dx + seen.shape[1]]
    return near


def test_a_cloud_out_of_view_is_none_and_not_a_zero_image():
    behind = Cloud(cloud().points * np.float32([-1, 1, 1, 1]), POSE, VIEW)
    assert foreign.lidar(behind, WHOLE, 0.0, np.random.default_rng(0), CONFIG) is None


def test_pictures_change_and_stay_pictures():
    rgb = np.random.default_rng(0).random((3, 24, 32), dtype=np.float32)
    assert foreign.picture(rgb, 0.0, np.random.default_rng(0)) is rgb
    for seed in range(20):
        other = foreign.picture(rgb, 1.0, np.random.default_rng(seed))
        assert other.shape == rgb.shape and other.min() >= 0 and other.max() <= 1
        assert not np.allclose(other, rgb, atol=1e-3)
