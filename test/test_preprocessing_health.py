"""What each health check finds, and what it lets pass."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.preprocessing import Health, HealthConfig
from any2seg_ros.types import Events, InvalidMeasurement, Measurement, Modality

SECOND = 1_000_000_000
RANDOM = np.random.default_rng(0)


def picture(low=0, high=256):
    """Of large and small things, so that neighbours are alike."""
    coarse = RANDOM.integers(low, high, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (128, 72), interpolation=cv2.INTER_NEAREST)


def measured(modality, data, stamp):
    return Measurement(modality, stamp, data)


def drive(health, contents, now=lambda stamp: stamp, start=SECOND, step=SECOND // 10):
    """The reasons, None for a good measurement, of contents that follow each other."""
    reasons = []
    for i, content in enumerate(contents):
        stamp = start + i * step
        try:
            health.check(measured(health._modality, content, stamp), now(stamp))
            reasons.append(None)
        except InvalidMeasurement as reason:
            reasons.append(str(reason))
    return reasons


def test_good_measurements_of_every_kind_pass():
    clouds = (RANDOM.normal(size=(500, 4)).astype(np.float32) for _ in range(30))
    depths = (
        RANDOM.uniform(1, 9, (72, 128))[::8, ::8].repeat(8, 0).repeat(8, 1) for _ in range(30)
    )
    assert set(drive(Health(Modality.RGB), (picture() for _ in range(30)))) == {None}
    assert set(drive(Health(Modality.LIDAR), clouds)) == {None}
    assert set(drive(Health(Modality.DEPTH), depths)) == {None}


def test_the_same_content_again_and_again_is_frozen_until_it_moves():
    health = Health(Modality.RGB, HealthConfig(frozen_after=3))
    still = picture()
    reasons = drive(health, [picture(), still, still, still, still, still, picture()])
    assert reasons == [None] * 4 + ["content is frozen"] * 2 + [None]


def test_a_measurement_that_is_held_is_not_frozen():
    health = Health(Modality.RGB, HealthConfig(frozen_after=3))
    assert set(drive(health, [picture()] * 20, step=0)) == {None}


@pytest.mark.parametrize("modality", [Modality.DEPTH, Modality.LIDAR])
def test_depth_and_clouds_freeze_too(modality):
    data = RANDOM.uniform(1, 9, (300, 4)).astype(np.float32)
    assert drive(Health(modality), [data] * 12)[-1] == "content is frozen"


def test_a_ready_event_image_of_a_still_scene_is_no_fault():
    still = np.zeros((72, 128, 3), np.uint8)
    assert set(drive(Health(Modality.EVENT), [still] * 30)) == {None}


def test_black_and_saturated_images_are_unusable_and_dark_ones_are_not():
    health = Health(Modality.RGB)
    contents = [picture(0, 6), picture(252, 256), picture(0, 12), picture(200, 256)]
    assert drive(health, contents) == ["image is black", "image is saturated", None, None]


def test_a_grey_image_is_judged_too():
    assert drive(Health(Modality.RGB), [picture(0, 3)[..., 0]]) == ["image is black"]


def large(deviation: float, level: float = 0.0, scene: float = 0.0) -> np.ndarray:
    """A picture of 1280 x 720: so much of a scene, a level, and a sensor's noise."""
    fine = RANDOM.integers(0, 256, (36, 64, 3), dtype=np.uint8)
    seen = cv2.resize(picture() // 2 + cv2.resize(fine, (128, 72)) // 2, (1280, 720))
    noise = RANDOM.normal(level, deviation, seen.shape)
    return np.clip(scene * seen + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("deviation", "level"), [(8, 4), (3, 120), (1, 248), (80, 128)])
def test_noise_without_a_scene_is_unusable_whatever_its_level(deviation, level):
    (reason,) = drive(Health(Modality.RGB), [large(deviation, level)])
    assert reason is not None and "image is noise" in reason


def test_a_dark_scene_in_noise_is_usable():
    assert drive(Health(Modality.RGB), [large(8, 4, scene=0.1)]) == [None]


def test_an_image_of_one_colour_is_unusable():
    plain = np.full((720, 1280, 3), 90, np.uint8)
    assert drive(Health(Modality.RGB), [plain]) == ["image is of one colour"]


def test_an_image_that_is_mostly_white_is_unusable():
    covered = picture(0, 200)
    covered[: int(0.95 * len(covered))] = 255
    assert drive(Health(Modality.RGB), [picture(0, 200), covered]) == [None, "image is saturated"]


def test_a_lens_that_mists_over_is_found_by_what_is_usual():
    health = Health(Modality.RGB)
    seen = [large(2, scene=0.9) for _ in range(12)]
    misted = [cv2.GaussianBlur(seen[-1], (0, 0), sigma) for sigma in (8, 200)]
    assert drive(health, seen) == [None] * 12
    sharp, *reasons = drive(health, [seen[0], *misted], start=100 * SECOND)
    assert sharp is None and reasons[0] is None
    assert reasons[1] is not None and "a fraction of its usual detail" in reasons[1]


@pytest.mark.parametrize("data", [np.zeros((72, 128), np.uint16), np.full((72, 128), np.nan)])
def test_depth_of_holes_alone_is_unusable(data):
    assert drive(Health(Modality.DEPTH), [data]) == ["depth has no valid pixels"]


def test_depth_needs_a_share_of_valid_pixels():
    data = np.zeros((72, 128), np.uint16)
    data[:8] = 900
    assert drive(Health(Modality.DEPTH), [data]) == [None]
    config = HealthConfig(minimum_depth_fraction=0.5)
    assert drive(Health(Modality.DEPTH, config), [data])[0].startswith("depth has too few")


@pytest.mark.parametrize(
    ("share", "reason"), [(0.4, None), (0.9, None), (1.0, "depth is saturated")]
)
def test_depth_at_the_end_of_its_range_is_unusable(share, reason):
    data = np.full((100, 128), 900, np.uint16)
    data[: round(100 * share)] = 65535
    assert drive(Health(Modality.DEPTH), [data]) == [reason]


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_points_that_no_lidar_reaches_are_no_measurements(share):
    cloud = RANDOM.normal(size=(2000, 4)).astype(np.float32)
    cloud[: round(2000 * share), 1] = -1e9
    (reason,) = drive(Health(Modality.LIDAR), [cloud])
    assert (reason or "").startswith("points are no measurements") == (share > 0.5)


def test_random_bytes_are_no_cloud():
    data = RANDOM.integers(0, 256, (2000, 16), np.uint8).view(np.float32)
    points = data[np.isfinite(data).all(1)]
    (reason,) = drive(Health(Modality.LIDAR), [points])
    assert reason is not None and reason.startswith("points are no measurements")


def test_a_cloud_with_a_fraction_of_its_usual_points_is_unusable():
    sizes = [1000] * 12 + [150, 1000, 250]
    clouds = [RANDOM.normal(size=(n, 4)).astype(np.float32) for n in sizes]
    reasons = drive(Health(Modality.LIDAR), clouds)
    assert reasons[12].startswith("cloud has a fraction of its usual points")
    assert reasons[:12] + reasons[13:] == [None] * 14


def test_what_is_usual_is_learnt_anew_after_a_reset():
    health = Health(Modality.LIDAR)
    drive(health, [RANDOM.normal(size=(1000, 4)).astype(np.float32) for _ in range(12)])
    health.reset()
    small = [RANDOM.normal(size=(100, 4)).astype(np.float32) for _ in range(12)]
    assert set(drive(health, small)) == {None}


def events(count, seconds, width=100, height=100):
    t = np.linspace(0, seconds * SECOND, count).astype(np.int64)
    x = np.zeros(count, np.uint16)
    return Events(t, x, x, x > 0, width, height)


def test_a_storm_of_events_is_unusable_and_silence_is_not():
    contents = [events(0, 0), events(20_000, 0.05), events(50_000, 0.05)]
    reasons = drive(Health(Modality.EVENT), contents)
    assert reasons[:2] == [None, None]
    assert reasons[2].startswith("event storm")


def test_a_stamp_of_zero_is_unusable():
    assert drive(Health(Modality.RGB), [picture()], start=0) == ["stamp is zero"]


def test_a_stamp_from_the_future_is_unusable_and_a_little_ahead_is_not():
    ahead = drive(Health(Modality.RGB), [picture()], now=lambda stamp: stamp - SECOND // 10)
    assert ahead == [None]
    future = drive(Health(Modality.RGB), [picture()], now=lambda stamp: stamp - SECOND)
    assert future[0].startswith("stamp is in the future")


def test_without_a_present_stamps_are_not_judged_by_it():
    assert drive(Health(Modality.RGB), [picture()], now=lambda stamp: None) == [None]


def test_a_clock_that_drifts_is_found_and_jitter_is_not():
    slow = drive(
        Health(Modality.RGB),
        (picture() for _ in range(120)),
        now=lambda stamp: int(stamp * 1.2),
    )
    assert slow[:40] == [None] * 40
    assert slow[-1].startswith("clock has drifted")
    late = drive(
        Health(Modality.RGB),
        (picture() for _ in range(120)),
        now=lambda stamp: stamp + int(RANDOM.integers(0, SECOND // 2)),
    )
    assert set(late) == {None}


def test_every_check_can_be_turned_off():
    off = HealthConfig(
        frozen_after=0,
        black_fraction=0,
        saturated_fraction=0,
        minimum_correlation=0,
        minimum_detail_fraction=0,
        minimum_depth_fraction=0,
        maximum_noise=0,
        minimum_points_fraction=0,
        storm_rate=0,
        future=0,
        drift=0,
    )
    black = np.zeros((72, 128, 3), np.uint8)
    assert set(drive(Health(Modality.RGB, off), [black] * 40, now=lambda s: -s)) == {None}
    assert drive(Health(Modality.EVENT, off), [events(90_000, 0.01)]) == [None]


@pytest.mark.parametrize("data", [None, np.zeros((0, 4), np.float32), np.zeros(3)])
@pytest.mark.parametrize("modality", list(Modality))
def test_a_measurement_without_content_is_unusable(modality, data):
    assert drive(Health(modality), [data]) == ["measurement has no content"]


def test_stamps_that_come_to_agree_with_the_hosts_clock_are_right():
    """The host's clock was an hour ahead of PTP stamps when the node began, then it was set."""
    health = Health(Modality.RGB)
    ahead = drive(health, (picture() for _ in range(40)), now=lambda stamp: stamp + 3600 * SECOND)
    agree = drive(health, (picture() for _ in range(60)), start=10 * SECOND)
    assert set(ahead) == {None}
    assert agree[-30:] == [None] * 30


def test_a_light_that_is_switched_on_is_no_storm_and_a_storm_is_one():
    config = HealthConfig()
    assert drive(Health(Modality.EVENT, config), [burst(10_000_000, 1)]) == [None]
    (reason,) = drive(Health(Modality.EVENT, config), [burst(50_000_000, 4)])
    assert "event storm" in reason


def burst(length, each):
    """`each` events a pixel of 100 x 60 within `length` ns."""
    x, y = np.meshgrid(np.arange(100, dtype=np.uint16), np.arange(60, dtype=np.uint16))
    x, y = np.tile(x.ravel(), each), np.tile(y.ravel(), each)
    t = np.linspace(0, length, len(x)).astype(np.int64)
    return Events(t, x, y, x > 50, 100, 60)


def test_depth_that_is_noise_is_found_and_a_scene_with_edges_holes_or_few_pixels_is_none() -> None:
    random = np.random.default_rng(0)
    street = np.linspace(2000, 40000, 96, dtype=np.uint16)[:, None].repeat(128, 1)
    street[:, 40:60] = 3000  # a car
    holes = np.where(random.random(street.shape) < 0.4, 0, street)
    points = np.where(random.random(street.shape) < 0.02, street, 0)
    for k, clean in enumerate((street, holes, points, (street * 1e-3).astype(np.float32))):
        Health(Modality.DEPTH).check(Measurement(Modality.DEPTH, SECOND + k, clean))
    noise = random.integers(1, 65535, street.shape, np.uint16)
    snow = np.where(random.random(street.shape) < 0.7, noise, street)
    for bad in (noise, snow, noise.astype(np.float32)):
        with pytest.raises(InvalidMeasurement, match="depth is noise"):
            Health(Modality.DEPTH).check(Measurement(Modality.DEPTH, SECOND, bad))
    Health(Modality.DEPTH, HealthConfig(maximum_noise=0)).check(
        Measurement(Modality.DEPTH, SECOND, noise)
    )


def test_depth_of_almost_nothing_beside_something_is_noise_without_a_warning() -> None:
    depth = np.tile(np.array([1e-44, 1e10], np.float32), (96, 64))
    with np.errstate(over="raise"), pytest.raises(InvalidMeasurement, match="depth is noise"):
        Health(Modality.DEPTH).check(Measurement(Modality.DEPTH, SECOND, depth))
