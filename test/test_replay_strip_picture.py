"""The film strip as one picture."""

from __future__ import annotations

import cv2
import numpy as np

from any2seg_ros.replay.gallery import STRIP_WIDTH, Moment, View
from any2seg_ros.replay.strip_picture import HEAD, ROWS, strip_picture
from any2seg_ros.types import Modality

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def view(colour) -> View:
    return View(np.full((180, STRIP_WIDTH, 3), colour, np.uint8), 0.9, None, None)


def moment(alone, camera=True) -> Moment:
    picture = np.full((180, STRIP_WIDTH, 3), RED, np.uint8) if camera else None
    return Moment("0 s", picture, view(GREEN), alone)


def decoded(picture: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def colours(picture: np.ndarray, row: int) -> list[tuple[int, ...]]:
    """The colour in the middle of each tile of a row, to tens."""
    middle = picture[HEAD + 180 * row + 90, STRIP_WIDTH // 2 :: STRIP_WIDTH].astype(int)
    return [tuple(c) for c in (middle / 10).round().astype(int) * 10]


def test_a_column_for_camera_all_together_and_each_sensor_alone():
    both = moment({Modality.RGB: view(RED), Modality.LIDAR: view(BLUE)})
    camera_alone = moment({Modality.RGB: view(RED)})
    picture = decoded(strip_picture([both, camera_alone]))
    assert picture.shape == (HEAD + 2 * 180, 4 * STRIP_WIDTH, 3)
    assert colours(picture, 0) == [RED, GREEN, RED, BLUE]
    assert colours(picture, 1) == [RED, GREEN, RED, (260, 260, 260)]


def test_without_a_camera_its_place_is_white():
    picture = decoded(strip_picture([moment({Modality.LIDAR: view(BLUE)}, camera=False)]))
    assert colours(picture, 0) == [(260, 260, 260), GREEN, BLUE]


def test_of_many_moments_some_are_shown():
    many = [moment({Modality.RGB: view(RED)})] * 20
    assert decoded(strip_picture(many)).shape[0] == HEAD + ROWS * 180


def test_no_moment_no_picture():
    assert strip_picture([]) is None
