"""MUSES' folders, as its documentation describes them."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest

from any2seg_ros.datasets import Target, open_data, open_source
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.evaluation.evaluator import EvaluationConfig, Evaluator
from any2seg_ros.modalities import Modality
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.sensors import Placer, PlacingConfig

LIDAR_TO_RGB = [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)

    def at(kind: str, ending: str):
        folder = tmp_path / kind / "train" / "fog" / "night"
        folder.mkdir(parents=True)
        return folder / f"REC0001_frame_000007_{ending}"

    image = np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8)
    cv2.imwrite(str(at("frame_camera", "frame_camera.png")), image)
    cv2.imwrite(str(at("gt_semantic", "gt_labelTrainIds.png")), np.full((60, 100), 10, np.uint8))
    cloud = np.array([[10, 0, 0, 128, 3, 0.5], [12, 1, -1, 255, 4, 0.6]], np.float64)
    cloud.tofile(at("lidar", "lidar.bin"))
    calibration = {
        "intrinsics": {"rgb": {"K": [[80, 0, 50], [0, 80, 30], [0, 0, 1]]}},
        "extrinsics": {"lidar2rgb": LIDAR_TO_RGB},
    }
    (tmp_path / "calib.json").write_text(json.dumps(calibration))
    return tmp_path


def test_frames_have_camera_lidar_and_label(root):
    data = open_data(root, "train")
    frame = data[0]
    assert data.name(0) == "fog/night/REC0001_frame_000007"
    assert data.taxonomy.name == "cityscapes" and (frame.label == 10).all()
    points = frame.measurements[Modality.LIDAR].data
    np.testing.assert_allclose(points[0], [10, 0, 0, 128 / 255], rtol=1e-6)
    assert not frame.availability[Modality.DEPTH].usable


def test_lidar_falls_where_the_calibration_says(root):
    data = open_data(root, "train")
    image = Placer(data.reference(0), (100, 60)).place(data[0]).images[Modality.LIDAR]
    # x = 12 m ahead, 1 m left, 1 m down: u = 50 - 80 / 12, v = 30 + 80 / 12
    assert image[0, 36:38, 42:45].any() and image[0, 29:31, 49:51].any()


def test_a_missing_file_is_named(root):
    next(root.rglob("*_lidar.bin")).unlink()
    with pytest.raises(FileNotFoundError, match="lidar.bin is missing"):
        open_data(root, "train")[0]


def test_the_frames_are_evaluated_with_the_sensors_that_muses_has(root, tmp_path):
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(tmp_path / "tiny.safetensors", network, Metadata(size=(64, 64)))
    engine = EngineConfig(str(tmp_path / "tiny.safetensors"), "torch", "cpu", threads=1)
    source = open_source(root, Target((64, 64), PlacingConfig()), "train")
    assert source.modalities == (Modality.RGB, Modality.LIDAR)
    assert source.notes == ["events of MUSES need h5py: pip install h5py"]
    config = EvaluationConfig(modalities=source.modalities, robustness=(), latency_frames=0)
    evaluator = Evaluator(Segmenter.open(engine), config)
    for sample in source.samples(0, 1):
        evaluator.add(sample)
    assert evaluator.tally.frames == 1 and not evaluator.tally.left_out


def test_events_are_a_sensor_of_muses_where_h5py_is(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", ModuleType("h5py"))
    data = open_data(root, "train")
    assert data.modalities == (Modality.RGB, Modality.LIDAR, Modality.EVENT)
    assert data.notes == []
