"""The vocabulary: order, names, subsets and camera geometry."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.types import (
    Availability,
    Camera,
    Frame,
    InvalidMeasurement,
    Measurement,
    Modality,
    all_subsets,
    parse_subset,
    plain,
    subset_name,
    unmeasured,
)


def test_four_modalities_have_fifteen_subsets_each_named_in_vocabulary_order():
    subsets = all_subsets()
    assert len(subsets) == len(set(subsets)) == 15
    assert subset_name(subsets[-1]) == "rgb+depth+lidar+event"
    assert all(parse_subset(subset_name(subset)) == subset for subset in subsets)


def test_a_subset_is_named_in_vocabulary_order_whatever_order_it_is_given_in():
    assert subset_name([Modality.EVENT, Modality.RGB]) == "rgb+event"
    assert parse_subset("lidar+rgb") == (Modality.RGB, Modality.LIDAR)


@pytest.mark.parametrize(
    ("reason", "counted"),
    [
        (
            "cloud has a fraction of its usual points: 437 of 20058",
            "cloud has a fraction of its usual points",
        ),
        ("depth has too few valid pixels: 17.5 %", "depth has too few valid pixels"),
        ("stamp is in the future by 3.20 s", "stamp is in the future"),
        ("unknown image encoding 'bayer'", "unknown image encoding 'bayer'"),
        ("labels are uint32: store class ids in 8 or 16 bits",) * 2,
    ],
)
def test_reasons_are_counted_without_their_figures(reason, counted):
    assert unmeasured(reason) == counted


def test_an_unknown_modality_is_refused_with_the_words_that_are_known():
    with pytest.raises(ValueError, match="'radar'.*rgb, depth, lidar, event"):
        Modality.parse("radar")


def test_only_ok_and_held_measurements_are_usable():
    assert [a for a in Availability if a.usable] == [Availability.OK, Availability.HELD]


def test_a_point_keeps_its_place_in_the_view_when_the_camera_is_resized():
    camera = Camera(640, 480, 500.0, 510.0, 320.5, 239.5)
    small = camera.resized(320, 120)
    point = np.array([0.3, -0.2, 2.0])
    big_pixel = (camera.matrix @ point)[:2] / point[2]
    small_pixel = (small.matrix @ point)[:2] / point[2]
    # Pixel centres are at integers, so pixel edges scale and centres are half a pixel off them.
    np.testing.assert_allclose((big_pixel + 0.5) * [320 / 640, 120 / 480], small_pixel + 0.5)


def test_text_from_outside_is_one_short_line_that_can_be_printed():
    assert plain("rgb8\x1b[2J\n\x00\u202e") == "rgb8?[2J???"
    assert plain("x" * 10_000_000, 5) == "xxxxx..."
    assert plain("bayer_rggb8") == "bayer_rggb8"
    reason = str(InvalidMeasurement(f"unknown '{'x' * 1000}\x07'"))
    assert len(reason) < 450 and reason.isprintable()


def test_a_frame_of_measurements_knows_what_it_lacks():
    rgb = Measurement(Modality.RGB, 7, np.zeros((2, 2, 3), np.uint8))
    frame = Frame.of(rgb)
    assert frame.stamp == 7
    assert frame.subset == (Modality.RGB,)
    assert frame.availability[Modality.RGB] is Availability.OK
    assert frame.availability[Modality.LIDAR] is Availability.MISSING
