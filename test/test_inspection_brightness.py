"""Events of a picture that is shaken, against its images: when they happened is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from any2seg_ros.inspection.brightness import EventCounter, event_offset, shrunk
from any2seg_ros.simulation.events import EventSensor
from any2seg_ros.simulation.settings import EventSettings
from any2seg_ros.types import Camera, Events

CAMERA = Camera(192, 128, 150.0, 150.0, 95.5, 63.5)
STEP, IMAGES = 10_000_000, 50
START = 10**12


def scene(seconds: float) -> np.ndarray:
    """uint8 (h, w): a picture that sways to and fro."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (200, 300)).astype(np.float32), (0, 0), 2.5)
    x = 50 + 9 * np.sin(7 * seconds) + 4 * np.sin(11 * seconds + 1)
    y = 36 + 9 * np.sin(8.3 * seconds + 2)
    shift = np.float32([[1, 0, -x], [0, 1, -y]])
    seen = cv2.warpAffine(picture, shift, (CAMERA.width, CAMERA.height), flags=cv2.INTER_LINEAR)
    return np.clip(15 * (seen - 127) + 90, 3, 250).astype(np.uint8)


@pytest.fixture(scope="module")
def recorded():
    """Images at 10 Hz, their stamps in ns, and all events of 5 s."""
    seeds = np.random.SeedSequence(1), np.random.SeedSequence(2)
    sensor = EventSensor((CAMERA.width, CAMERA.height), EventSettings(), *seeds, 0.1)
    sensor.start(START, scene(0.0) / 255)
    chunks, images, stamps = [], [], []
    for number in range(1, IMAGES * 10):
        image = scene(number * STEP * 1e-9)
        chunks.append(sensor.advance(START + number * STEP, image / 255))
        if number % 10 == 0:
            images.append(image)
            stamps.append(START + number * STEP)
    return images, stamps, chunks


def offset(recorded, late: float, shown: slice = slice(None), pose: np.ndarray | None = None):
    images, stamps, chunks = recorded
    counter = EventCounter(CAMERA, stamps)
    for chunk in chunks[shown]:
        at = chunk.t + round(late * 1e9)
        counter.add(Events(at, chunk.x, chunk.y, chunk.p, chunk.width, chunk.height))
    found = [shrunk(image, CAMERA, counter.raster) for image in images]
    view = found[0][1]
    pose = np.eye(4) if pose is None else pose
    return event_offset([image for image, _ in found], stamps, view, counter, pose)


@pytest.mark.parametrize("late", [-0.08, -0.023, 0.0, 0.04, 0.08])
def test_an_offset_of_events_is_found(recorded, late):
    found = offset(recorded, late)
    assert not found.unknown and found.agreement > 0.6
    assert found.late == pytest.approx(late, abs=0.005)


def test_where_there_are_no_events_or_others_it_cannot_be_told(recorded):
    assert "no events" in offset(recorded, 0.0, slice(0, 0)).unknown
    assert "no events" in offset(recorded, 100.0).unknown
    images, stamps, chunks = recorded
    shuffled = np.random.default_rng(0).permutation(len(images))
    assert "do not agree" in offset(([images[i] for i in shuffled], stamps, chunks), 0.0).unknown


def test_cameras_of_any_shape_have_a_small_raster():
    for width, height in ((1280, 720), (16, 16384), (64, 48)):
        camera = Camera(width, height, 500.0, 500.0, width / 2, height / 2)
        raster = EventCounter(camera, [0]).raster
        assert 1 <= raster.width <= 192 and 1 <= raster.height <= 192
