"""DELIVER's folders with raw measurements: what is read of them, and what is wrong with them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
import training_data
from torch.nn import functional

from any2seg_ros.datasets import open_data
from any2seg_ros.datasets.files import read_rgb
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


def test_deliver_is_evaluated_on_the_published_raster(tmp_path, monkeypatch):
    monkeypatch.setattr(training_data, "SIZE", (1042, 1042))
    training_data.write(tmp_path, "val", 1)
    event = next((tmp_path / "event").rglob("*.png"))
    small = np.random.default_rng(0).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    training_data.save(event, small)  # a sensor of low resolution
    data = open_data(tmp_path, "val")
    frame = data[0]
    semantic = cv2.imread(str(next((tmp_path / "semantic").rglob("*.png"))))[..., 2] - 1
    # The validation transform of the published code: torch's nearest for labels, bilinear images.
    nearest = (np.arange(1024) * (1042 / 1024)).astype(int)
    np.testing.assert_array_equal(frame.label, semantic[np.ix_(nearest, nearest)])
    rgb = read_rgb(next((tmp_path / "img").rglob("*.png")))
    bilinear = torch_bilinear(rgb)
    assert np.abs(frame.measurements[Modality.RGB].data.astype(int) - bilinear).max() <= 1
    enlarged = small[np.ix_(*2 * [(np.arange(1042) * (512 / 1042)).astype(int)])]
    events = frame.measurements[Modality.EVENT].data.astype(int)
    assert np.abs(events - torch_bilinear(enlarged)).max() <= 1
    assert (data.reference(0).width, data.reference(0).height) == (1024, 1024)


def torch_bilinear(image: np.ndarray) -> np.ndarray:
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    resized = functional.interpolate(planes, (1024, 1024), mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().int().numpy()
