"""DELIVER's folders, with ready images and with raw measurements."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
import training_data
from torch.nn import functional

from any2seg_ros.datasets import open_data
from any2seg_ros.datasets.deliver import decode_label
from any2seg_ros.datasets.files import read_rgb
from any2seg_ros.types import IGNORE, Events, Modality


@pytest.fixture
def raw(tmp_path):
    training_data.write(tmp_path, "train", 2, raw=True, condition="night")
    return tmp_path


@pytest.fixture
def ready(tmp_path):
    training_data.write(tmp_path, "train", 5)
    return tmp_path


def test_raw_files_of_sensors_that_are_not_wanted_are_not_read(raw):
    for path in raw.rglob("*_event_front.npz"):
        path.write_bytes(b"")
    for path in (raw / "raw").rglob("*_depth_front.png"):
        path.unlink()
    data = open_data(raw, "train", (Modality.LIDAR,))
    assert data.modalities == (Modality.LIDAR,)
    assert data[0].subset == (Modality.RGB, Modality.LIDAR)


@pytest.mark.parametrize(("part", "name"), [("stamps", "000000"), ("sensors", "lidar")])
def test_a_calibration_that_lacks_a_part_is_named(raw, part, name):
    path = next(raw.rglob("calibration.json"))
    content = json.loads(path.read_text())
    del content[part][name]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{path.parent} has no '{name}' for frame 000000"):
        open_data(raw, "train")[0]


def test_a_camera_of_absurd_size_is_refused_before_anything_is_made_of_it(raw):
    path = next(raw.rglob("calibration.json"))
    content = json.loads(path.read_text())
    content["sensors"]["event"]["camera"] |= {"width": 30_000, "height": 30_000}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="absurd size: 30000x30000: make the data set again"):
        open_data(raw, "train")[0]


def test_labels_are_decoded_as_deliver_writes_them():
    raw = np.array([[0, 1, 13], [25, 26, 255]], np.uint8)
    assert decode_label(raw).tolist() == [[IGNORE, 0, 12], [24, IGNORE, IGNORE]]


def test_delivers_frames_have_ready_images_and_their_label(ready):
    data = open_data(ready, "train")
    frame = data[0]
    assert len(data) == 5 and data.name(0) == "sun/MAP_1_point1/000000"
    assert frame.subset == tuple(Modality)
    assert set(np.unique(frame.label)) == set(training_data.CLASSES.values())
    for measurement in frame.measurements.values():
        assert measurement.data.shape == (64, 96, 3) and measurement.data.dtype == np.uint8
    rgb = frame.measurements[Modality.RGB].data
    stored = cv2.imread(str(next(ready.rglob("000000_rgb_front.png"))))
    assert np.array_equal(rgb, stored[..., ::-1])


def test_deliver_s_label_is_the_red_channel_with_alpha_and_without(ready, tmp_path_factory):
    expected = open_data(ready, "train")[0].label
    other = tmp_path_factory.mktemp("alpha")
    training_data.write(other, "train", 1)
    path = next(other.rglob("*_semantic_front.png"))
    red = cv2.imread(str(path))[..., 2]
    blue, opaque = np.full_like(red, 3), np.full_like(red, 255)
    for channels in ((blue, blue, red), (blue, blue, red, opaque)):
        cv2.imwrite(str(path), np.dstack(channels))
        assert np.array_equal(open_data(other, "train")[0].label, expected)


def test_event_images_of_half_the_size_come_at_the_labels_size(tmp_path):
    training_data.write(tmp_path, "train", 1)
    path = next(tmp_path.rglob("*_event_front.png"))
    cv2.imwrite(str(path), cv2.imread(str(path))[::2, ::2])
    frame = open_data(tmp_path, "train")[0]
    assert frame.measurements[Modality.EVENT].data.shape == (64, 96, 3)


def test_streets_frames_have_raw_measurements_with_their_geometry(raw):
    data = open_data(raw, "train")
    frame = data[1]
    depth, lidar = frame.measurements[Modality.DEPTH], frame.measurements[Modality.LIDAR]
    events = frame.measurements[Modality.EVENT]
    assert depth.data.dtype == np.uint16 and depth.camera.width == 96
    assert lidar.data.shape == (500, 4) and lidar.reference_from_sensor[2, 0] == 1
    assert isinstance(events.data, Events) and len(events.data) == 300
    assert data.conditions(1) == ("night",) and data.reference(1).fx == 60


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
