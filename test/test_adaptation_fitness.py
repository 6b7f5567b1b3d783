"""Drives that are refused, and what is said."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tiny_drive
from adaptation_data import Place

from any2seg_ros.adaptation import fitness
from any2seg_ros.adaptation.config import AdaptationConfig
from any2seg_ros.adaptation.drive import Drive, open_drive
from any2seg_ros.adaptation.run import Adaptation
from any2seg_ros.datasets import Labelling, Target
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


def read(out: Path, *bags: Path, labels: Path | None = None) -> Drive:
    labelling = Labelling((labels,) if labels else ())
    config = AdaptationConfig(bags, out, labelling=labelling)
    return open_drive(config, TARGET, lambda done, total: None)


def test_a_lidar_without_a_transform_is_named(tmp_path):
    """It is left out; what is to be mended is not the number of sensors."""
    folder = tiny_drive.write(
        tmp_path / "no_tf", tiny_drive.rows(24), lambda topic: topic.startswith(("/rgb", "/lidar"))
    )
    alone = read(tmp_path / "out", folder)
    with pytest.raises(ValueError, match="no transform from lidar"):
        fitness.refuse_unfit(alone, labelled=False)


@pytest.mark.parametrize(("late", "said"), [(0, ""), (3600 * 10**9, "no pixel of the 15 frames")])
def test_labels_of_other_stamps_are_told(tmp_path, late, said):
    def camera(topic: str) -> bool:
        return topic.startswith(("/rgb", "/tf"))

    labels = tmp_path / "labels"
    labels.mkdir()
    bag = tiny_drive.write(tmp_path / "camera", tiny_drive.rows(24), camera)
    for index in range(1, 24, 4):
        stamp = tiny_drive.START + index * tiny_drive.PERIOD + late
        cv2.imwrite(str(labels / f"{stamp}.png"), np.zeros((4, 6), np.uint8))
    known = read(tmp_path / "out", bag, labels=labels)
    assert known.notes[-1] == f"{0 if said else 6} of 24 frames have labels of another network"
    with pytest.raises(ValueError, match=said) if said else nullcontext():
        fitness.refuse_unfit(known, labelled=True)


def without(topics: tuple[str, ...], frames: int = 24) -> list[tiny_drive.Row]:
    return [row for row in tiny_drive.rows(frames) if not row[1].startswith(topics)]


def test_bags_may_have_different_sensors(tmp_path):
    """A sensor is unusable where it is broken, not where a bag does not have it."""
    gone = tiny_drive.START + 23 * tiny_drive.PERIOD
    lidar = [r for r in without(("/depth", "/event")) if r[0] < gone or "/lidar" not in r[1]]
    began = tiny_drive.START + 25 * tiny_drive.PERIOD
    later = [r for r in without(("/lidar", "/event"), 75) if r[0] > began or "/tf" in r[1]]
    parts = lidar, later
    bags = [tiny_drive.write(tmp_path / str(n), rows) for n, rows in enumerate(parts)]
    both = read(tmp_path / "out", *bags)
    assert 0 < both.cached.present[:, 2].mean() < 0.34
    fitness.refuse_unfit(both, labelled=False)
    apart = [
        tiny_drive.write(tmp_path / name, without(topics))
        for name, topics in {"a": ("/lidar", "/event"), "b": ("/rgb/im", "/depth")}.items()
    ]
    fitness.refuse_unfit(read(tmp_path / "apart", *apart), labelled=False)


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
    lessons = SimpleNamespace(counts=counts)
    fitness.refuse_doubtful(lessons, least, labelled=False)
    counts[0, 250], counts[1, 50] = 2, 98
    with pytest.raises(ValueError, match="sure of 2 %"):
        fitness.refuse_doubtful(lessons, least, labelled=False)
    fitness.refuse_doubtful(lessons, least, labelled=True)
