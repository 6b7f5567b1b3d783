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
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.types import Modality

LIDAR_TO_RGB = [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


class File(dict):
    """In place of h5py.File: the arrays of an .npz by name, as those of the group `events`."""

    def __init__(self, path):
        with path.open("rb") as file:
            super().__init__(np.load(file))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def h5py(monkeypatch):
    """A stand-in that reads what `write_events` writes."""
    module = ModuleType("h5py")
    module.File = File
    monkeypatch.setitem(sys.modules, "h5py", module)


def write_events(root) -> None:
    """Four events, the first of them too long ago, and the calibration of their camera."""
    folder = root / "event_camera" / "train" / "fog" / "night"
    folder.mkdir(parents=True)
    with (folder / "REC0001_frame_000007_event_camera.h5").open("wb") as file:
        np.savez(
            file,
            t=np.array([1_000, 40_000, 50_000, 60_000]),
            x=np.array([0, 640, 1279, 3]),
            y=np.array([0, 360, 719, 4]),
            p=np.array([0, 1, 0, 1]),
        )
    calibrate(root, "intrinsics", "event", {"K": [[900, 0, 640], [0, 900, 360], [0, 0, 1]]})
    calibrate(root, "extrinsics", "event2rgb", np.eye(4).tolist())


def calibrate(root, kind: str, name: str, value) -> None:
    path = root / "calib.json"
    calibration = json.loads(path.read_text())
    calibration[kind][name] = value
    path.write_text(json.dumps(calibration))


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
    image = Preprocessor(data.reference(0), (100, 60)).preprocess(data[0]).images[Modality.LIDAR]
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
    source = open_source(root, Target((64, 64), PreprocessingConfig()), "train")
    assert source.modalities == (Modality.RGB, Modality.LIDAR)
    assert source.notes == ["events of MUSES need h5py: pip install h5py hdf5plugin"]
    config = EvaluationConfig(modalities=source.modalities, robustness=(), latency_frames=0)
    evaluator = Evaluator(Segmenter.open(engine), config)
    for sample in source.samples(0, 1):
        evaluator.add(sample)
    assert evaluator.tally.frames == 1 and not evaluator.tally.left_out


def test_events_are_a_sensor_of_muses_where_h5py_is(root, h5py):
    data = open_data(root, "train")
    assert data.modalities == (Modality.RGB, Modality.LIDAR, Modality.EVENT)
    assert data.notes == []


def test_events_are_the_last_30_ms_in_a_camera_without_distortion(root, h5py):
    write_events(root)
    data = open_data(root, "train")
    measurement = data[0].measurements[Modality.EVENT]
    events, camera = measurement.data, measurement.camera
    assert events.t.tolist() == [40_000_000, 50_000_000, 60_000_000]
    assert events.x.tolist() == [640, 1279, 3] and events.p.tolist() == [True, False, True]
    assert measurement.stamp == 60_000_000
    assert (camera.width, camera.height, camera.fx, camera.cx) == (1280, 720, 900, 640)
    assert camera.distortion == ()
    placed = Preprocessor(data.reference(0), (100, 60)).preprocess(data[0])
    assert placed.images[Modality.EVENT].any()


def test_events_that_cannot_be_read_name_their_file(root, h5py):
    write_events(root)
    path = next(root.rglob("*.h5"))
    with path.open("wb") as file:
        np.savez(file, t=np.arange(3))
    with pytest.raises(ValueError, match=f"{path.name} cannot be read .*'x'.*hdf5plugin"):
        open_data(root, "train")[0]


def test_more_events_than_a_recording_has_are_not_read(root, h5py, monkeypatch):
    write_events(root)
    monkeypatch.setattr("any2seg_ros.datasets.muses._MOST_EVENTS", 3)
    with pytest.raises(ValueError, match="cannot be read .it has more than 3 events"):
        open_data(root, "train")[0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("intrinsics", "event"), ("extrinsics", "event2rgb"), ("extrinsics", "lidar2rgb")],
)
def test_a_calibration_that_lacks_a_sensor_is_named(root, h5py, kind, name):
    write_events(root)
    calibrate(root, kind, name, None)
    with pytest.raises(ValueError, match=f"calib.json has no . x . matrix at {kind}/{name}"):
        open_data(root, "train")[0]


def test_a_sensor_that_muses_does_not_have_is_refused_with_the_mend(root):
    with pytest.raises(ValueError, match="no event in MUSES: .*pip install h5py"):
        open_data(root, "train", (Modality.RGB, Modality.EVENT))


def test_files_of_sensors_that_are_not_wanted_are_not_read(root):
    next(root.rglob("*_lidar.bin")).unlink()
    assert open_data(root, "train", (Modality.RGB,))[0].subset == (Modality.RGB,)


def test_a_split_that_does_not_exist_names_those_that_do(root):
    with pytest.raises(FileNotFoundError, match="its splits are train$"):
        open_data(root, "val")


def test_frames_without_labels_have_no_ground_truth(root):
    next(root.rglob("*_gt_labelTrainIds.png")).unlink()
    with pytest.raises(FileNotFoundError, match="gt_labelTrainIds.png is missing"):
        list(open_source(root, Target((64, 64), PreprocessingConfig()), "train").samples(0, 1))
    target = Target((64, 64), PreprocessingConfig())
    [left_out] = open_source(root, target, "train", leave_out=True).samples(0, 1)
    assert left_out.reason == "no ground truth"
