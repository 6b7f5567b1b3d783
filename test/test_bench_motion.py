"""The benchmark of motion measures errors of pixels, against what it is told is true."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.bench import motion
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.types import Camera, Measurement, Modality

CAMERA = Camera(320, 180, 200.0, 200.0, 159.5, 89.5)
LIDAR = transform((0.0, -0.3, 0.0), (0.5, -0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def drives():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion, "_FRAMES", 6)
        patch.setattr(motion, "_SIZE", (320, 180))
        patch.setattr(motion, "_REPEATS", 1)
        lidar = motion.LidarSettings(sector=360.0, columns=256, beams=16)
        events = motion.EventSettings(width=32, height=18)
        patch.setattr(motion, "_SETTINGS", motion.SensorSettings(lidar=lidar, event=events))
        return motion.run()


@pytest.mark.parametrize("name", motion.DRIVES)
def test_compensation_takes_the_error_of_simulated_drives_away(drives, name) -> None:
    for sensor, errors in drives["px"][name].items():
        if errors["off"]["p95"] == 0:  # depth that is measured with the image
            assert sensor == "depth" and errors["on"]["p95"] == 0
            continue
        assert errors["on"]["p95"] < 0.25 < errors["off"]["p50"]
        assert errors["on"]["mean"] < 0.1 * errors["off"]["mean"]


def test_what_a_sweep_costs_is_timed(drives) -> None:
    assert set(drives["ms"]) == {
        "read times", "move point by point", "move as a whole", "beside: copy the points"
    }  # fmt: skip


def test_errors_are_px_of_a_lens_that_bends_too() -> None:
    bent = Camera(320, 180, 200.0, 200.0, 150.5, 89.5, (-0.2, 0.03, 0.0, 0.0, 0.0))
    true = np.array([[0.0, 0.0, 10.0], [6.0, 0.0, 10.0], [0.0, 0.0, 2.0], [12.0, 0.0, 10.0]])
    drawn = true + np.array([[0.5, 0.0, 0.0]])
    for camera in (CAMERA, bent):
        pixels, _ = cv2.projectPoints(
            np.concatenate([drawn, true]), np.zeros(3), np.zeros(3), camera.matrix,
            np.array(camera.distortion or (0.0,) * 5),
        )  # fmt: skip
        moved = np.hypot(*(pixels[:4, 0] - pixels[4:, 0]).T)
        # The third is too near, the last out of view.
        np.testing.assert_allclose(motion._apart(drawn, true, camera), moved[:2], atol=1e-6)


def pole(shift: float) -> np.ndarray:
    """A cloud of one pole before a wall, `shift` m to the left of where it is."""
    azimuth = np.radians(np.arange(-35, 35, 0.1))
    rows = []
    for elevation in np.radians(np.arange(-10, 10, 1.0)):
        distance = np.where(np.abs(azimuth) < 0.03, 8.0, 20.0)
        x, y = distance * np.cos(azimuth), distance * np.sin(azimuth)
        rows.append(np.stack([x, y + shift, distance * np.tan(elevation), 0 * x], 1))
    return np.concatenate(rows).astype(np.float32)


def test_edges_agree_best_where_nothing_has_moved() -> None:
    image = np.full((180, 320, 3), 90, np.uint8)
    image[:, 154:166] = 200  # 0.03 rad to each side
    scores = {
        shift: motion.edge_score(
            image, Measurement(Modality.LIDAR, 0, pole(shift), None, LIDAR), CAMERA
        )
        for shift in (-0.4, -0.2, 0.0, 0.2, 0.4)
    }
    assert max(scores, key=lambda shift: scores[shift]) == 0.0
    assert scores[0.0] > 1.15 * max(scores[-0.2], scores[0.2])


def test_edges_are_what_stands_before_something_farther() -> None:
    points, weights = motion.edges_of(pole(0.0))
    assert len(points) == 40
    np.testing.assert_allclose(np.hypot(points[:, 0], points[:, 1]), 8.0, atol=1e-3)
    assert (weights > 0).all()


def test_edges_of_a_drive_agree_better_with_compensation(tmp_path) -> None:
    """Of a LiDAR that measures 50 ms before the camera, on a drive that moves."""
    lidar = motion.LidarSettings(sector=360.0, columns=512, beams=16)
    settings = motion.SensorSettings(lidar=lidar, event=motion.EventSettings(width=32, height=18))
    spec = motion.SceneSpec("test", 4, "cloud", frames=6, size=(320, 180))
    early = motion.Recording(50.0, False, -0.05, -0.05)
    motion.write_bag(tmp_path / "bag", motion.Scene(spec, settings), recording=early)
    found = motion.compare(tmp_path / "bag", "odom", {"lidar.window": 0.06, "depth.window": 0.06})
    assert found["frames"] == found["gain"]["frames"] == 6 and found["moved_px"] > 3
    assert found["on"] > 1.05 * found["off"] and found["gain"]["mean"] > 0.05
    offsets = found["offsets"]
    assert max(offsets, key=lambda offset: offsets[offset]) == "0.0"
    assert offsets["0.0"] == found["on"]
