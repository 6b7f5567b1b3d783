"""The data card counts pixels and frames of each class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from any2seg_ros.simulation.card import contact_sheet, shares, table
from any2seg_ros.taxonomy import DELIVER


def write_labels(root: Path, condition: str, split: str, raw: np.ndarray) -> None:
    folder = root / "semantic" / condition / split / "MAP_1_point1"
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir()))
    image = np.repeat(raw.astype(np.uint8)[..., None], 3, 2)
    cv2.imwrite(str(folder / f"{number:06d}_semantic_front.png"), image)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two frames of train: one all class 0, one half class 1; ignored pixels do not count."""
    first = np.full((10, 20), 1)
    second = np.where(np.arange(20) < 10, 1, 2) * np.ones((10, 1), int)
    second[:, :5] = 0
    write_labels(tmp_path, "sun", "train", first)
    write_labels(tmp_path, "rain", "train", second)
    return tmp_path


def test_shares_are_percent_of_the_labelled_pixels(root: Path) -> None:
    found = shares(root)
    assert found["train"][:2].tolist() == pytest.approx([100 * 250 / 350, 100 * 100 / 350])
    assert found["rain"][:2].tolist() == pytest.approx([100 / 3, 200 / 3])
    assert found["train frames"][:3].tolist() == [100, 50, 0]


def test_the_table_has_a_row_per_class_most_frequent_first(root: Path) -> None:
    lines = table(shares(root)).splitlines()
    assert len(lines) == 2 + len(DELIVER)
    assert lines[0] == "| class | train | train frames | rain | sun |"
    assert lines[2].startswith(f"| {DELIVER.classes[0]} | 71.43 | 100 |")


def test_a_contact_sheet_names_the_condition_that_is_missing(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no frame of 'cloud'"):
        contact_sheet(root)
