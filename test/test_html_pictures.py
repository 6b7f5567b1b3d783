"""Pictures of the reports: the pixels that they were given."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from any2seg_ros.html.pictures import confidence_image, data_uri, overlay_image, shrunk


def test_a_lossless_picture_holds_the_very_pixels_in_red_green_blue():
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 200
    uri = data_uri(image, lossless=True)
    assert uri.startswith("data:image/png;base64,")
    data = np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], image)


def test_unsure_pixels_are_darker_than_sure_ones():
    colors = confidence_image(np.array([[0.0, 0.5, 1.0, 2.0]], np.float32)).astype(int).sum(-1)[0]
    assert colors[0] < colors[1] < colors[2] == colors[3]


def test_an_overlay_has_a_share_of_both():
    camera, colors = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2, 3), 200, np.uint8)
    assert overlay_image(camera, colors, 0.25)[0, 0].tolist() == [125, 125, 125]


@pytest.mark.parametrize(
    ("size", "made"), [((40, 30), (40, 30)), ((100, 50), (50, 25)), ((999, 1), (50, 1))]
)
def test_a_wide_picture_is_shrunk_in_its_proportions(size, made):
    picture = shrunk(np.zeros((size[1], size[0], 3), np.uint8), 50)
    assert picture.shape == (made[1], made[0], 3)
