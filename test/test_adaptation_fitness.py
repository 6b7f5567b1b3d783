"""Drives that are refused, and what is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tiny_drive
from adaptation_data import Place

from any2seg_ros.adaptation import fitness
from any2seg_ros.adaptation.drive import Drive, open_drive
from any2seg_ros.adaptation.run import Adaptation
from any2seg_ros.datasets import Target
from any2seg_ros.preprocessing import PreprocessingConfig

TARGET = Target((96, 64), PreprocessingConfig())


def opened(drive: Place, bag: Path, out: str) -> Drive:
    config = drive.config(out, bags=(bag,))
    return open_drive(config, TARGET, lambda done, total: None)


def bag(folder: Path, frames: int = 24, change=lambda topic, message, index: message) -> Path:
    """A tiny drive whose messages, counted by topic, are changed."""
    seen: dict[str, int] = {}
    rows = []
    for time, topic, message in tiny_drive.rows(frames):
        seen[topic] = seen.get(topic, -1) + 1
        rows.append((time, topic, change(topic, message, seen[topic])))
    return tiny_drive.write(folder, rows)


def test_a_drive_that_moves_is_fit(drive):
    fit = opened(drive, drive.bag, "fit")
    fitness.refuse_unfit(fit, labelled=False)
    assert fitness.stillness(fit.cached, fit.learned) < fitness.STILL


def test_too_few_frames(drive, tmp_path):
    few = opened(drive, bag(tmp_path / "few", 10), "few")
    with pytest.raises(ValueError, match="6 frames to learn from are too few"):
        fitness.refuse_unfit(few, labelled=False)


def test_a_black_camera(drive, tmp_path):
    black = np.zeros((tiny_drive.HEIGHT, tiny_drive.WIDTH, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", black)[1].tobytes()

    def blackened(topic, message, index):
        if topic != "/rgb/image/compressed":
            return message
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        return tiny_drive.compressed(stamp, "rgb_camera_optical", "jpeg", jpeg)

    drive_of = opened(drive, bag(tmp_path / "black", 24, blackened), "black")
    with pytest.raises(ValueError, match=r"rgb is unusable in 100 % of the frames \(.*black"):
        fitness.refuse_unfit(drive_of, labelled=False)


def test_a_parked_car(drive, tmp_path):
    """The same picture all the time, but for the noise of its sensor."""
    first: list[np.ndarray] = []

    def parked(topic, message, index):
        if topic != "/rgb/image/compressed":
            return message
        picture = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
        first.append(picture)
        noise = np.random.default_rng(index).normal(0, 4, picture.shape)
        seen = np.clip(first[0] + noise, 0, 255).astype(np.uint8)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        data = cv2.imencode(".jpg", seen)[1].tobytes()
        return tiny_drive.compressed(stamp, "rgb_camera_optical", "jpeg", data)

    still = opened(drive, bag(tmp_path / "parked", 24, parked), "parked")
    with pytest.raises(ValueError, match="parked"):
        fitness.refuse_unfit(still, labelled=False)


def test_one_sensor_alone_needs_labels(drive, tmp_path):
    def camera(topic: str) -> bool:
        return topic.startswith(("/rgb", "/tf"))

    folder = tiny_drive.write(tmp_path / "camera", tiny_drive.rows(24), camera)
    alone = opened(drive, folder, "camera")
    with pytest.raises(ValueError, match="--labels"):
        fitness.refuse_unfit(alone, labelled=False)
    fitness.refuse_unfit(alone, labelled=True)


def test_a_camera_that_shows_noise_is_refused_by_the_whole_adaptation(drive, tmp_path):
    def noisy(topic, message, index):
        if topic != "/rgb/image/compressed":
            return message
        shape = (tiny_drive.HEIGHT, tiny_drive.WIDTH, 3)
        noise = np.random.default_rng(index).integers(0, 256, shape).astype(np.uint8)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        data = cv2.imencode(".jpg", noise)[1].tobytes()
        return tiny_drive.compressed(stamp, "rgb_camera_optical", "jpeg", data)

    config = drive.config("noise", bags=(bag(tmp_path / "noise", 24, noisy),))
    with pytest.raises(ValueError, match=r"rgb is unusable in 100 % of the frames \(.*noise"):
        Adaptation(config).run()
    assert not (config.out / "weights.safetensors").exists()


def test_a_teacher_that_is_sure_of_next_to_nothing_is_refused():
    counts = np.zeros((2, 256), np.int64)
    counts[0, 250], counts[1, 50] = 50, 50
    least = np.array([200, 200])
    fitness.refuse_doubtful(SimpleNamespace(counts=counts), least)
    counts[0, 250], counts[1, 50] = 2, 98
    with pytest.raises(ValueError, match="sure of 2 %"):
        fitness.refuse_doubtful(SimpleNamespace(counts=counts), least)
