"""Labels of bags, in a topic and in a folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_drive

from any2seg_ros.datasets.ground_truth import LabelFolder, LabelTopic
from any2seg_ros.taxonomy import DELIVER

TOPIC = "/ground_truth/label/compressed"
STAMP = tiny_drive.START + tiny_drive.PERIOD


def bag_of(path: Path, image: np.ndarray) -> Path:
    """A bag with one label, as a PNG."""
    data = cv2.imencode(".png", image)[1].tobytes()
    message = tiny_drive.compressed(STAMP, "rgb_camera_optical", "16UC1; png", data)
    return tiny_drive.write(path, [(STAMP, TOPIC, message)], lambda topic: topic == TOPIC)


def test_a_topic_s_labels_of_16_bits_keep_their_class_ids(tmp_path):
    expected = tiny_drive.label(0)
    wide = np.where(expected == 255, 65535, expected).astype(np.uint16)
    found = LabelTopic(bag_of(tmp_path / "bag", wide), TOPIC, DELIVER).label(STAMP, STAMP)
    np.testing.assert_array_equal(found, expected)


def test_a_topic_says_why_it_has_no_label(tmp_path):
    truth = LabelTopic(bag_of(tmp_path / "bag", np.full((8, 8), 300, np.uint16)), TOPIC, DELIVER)
    assert truth.label(STAMP, STAMP) is None
    assert truth.lacking.startswith(f"a label on {TOPIC} cannot be used: labels of 16 bits")
    assert truth.notes == [truth.lacking]
    assert truth.label(STAMP + 10**9, STAMP + 10**9) is None
    assert truth.lacking == "no ground truth near the frame's stamp"


def test_a_folder_s_labels_may_have_16_bits_and_alpha(tmp_path):
    expected = tiny_drive.label(0)
    cv2.imwrite(str(tmp_path / f"{STAMP}.png"), expected.astype(np.uint16))
    seen_through = np.dstack([expected] * 3 + [np.full_like(expected, 9)])
    cv2.imwrite(str(tmp_path / f"{STAMP + 10**9}.png"), seen_through)
    truth = LabelFolder(tmp_path, DELIVER)
    for stamp in (STAMP, STAMP + 10**9):
        np.testing.assert_array_equal(truth.label(stamp, stamp), expected)


def test_a_file_that_holds_no_labels_is_one_error_that_names_it(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    cv2.imwrite(str(tmp_path / f"{STAMP}.png"), colours)
    with pytest.raises(ValueError, match=f"{STAMP}.png cannot be used: labels are colours"):
        LabelFolder(tmp_path, DELIVER).label(STAMP, STAMP)
    (tmp_path / f"{STAMP}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=f"{STAMP}.png cannot be used: .*cannot be unpacked"):
        LabelFolder(tmp_path, DELIVER).label(STAMP, STAMP)
