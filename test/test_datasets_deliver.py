"""DELIVER's folders with raw measurements: what is read of them, and what is wrong with them."""

from __future__ import annotations

import json

import pytest
import training_data

from any2seg_ros.datasets import open_data
from any2seg_ros.types import Modality


@pytest.fixture
def root(tmp_path):
    training_data.write(tmp_path, "train", 1, raw=True)
    return tmp_path


def test_raw_files_of_sensors_that_are_not_wanted_are_not_read(root):
    next(root.rglob("*_event_front.npz")).write_bytes(b"")
    next((root / "raw").rglob("*_depth_front.png")).unlink()
    data = open_data(root, "train", (Modality.LIDAR,))
    assert data.modalities == (Modality.LIDAR,)
    assert data[0].subset == (Modality.RGB, Modality.LIDAR)


@pytest.mark.parametrize(("part", "name"), [("stamps", "000000"), ("sensors", "lidar")])
def test_a_calibration_that_lacks_a_part_is_named(root, part, name):
    path = next(root.rglob("calibration.json"))
    content = json.loads(path.read_text())
    del content[part][name]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{path.parent} has no '{name}' for frame 000000"):
        open_data(root, "train")[0]
