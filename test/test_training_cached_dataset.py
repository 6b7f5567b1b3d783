"""Cached data sets: made once, made again when anything changes, damage is named."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import training_data

from any2seg_ros import resources
from any2seg_ros.datasets import Target, open_data, open_source
from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.training import cached_dataset
from any2seg_ros.training.cached_dataset import CACHE_FORMAT, open_cached
from any2seg_ros.types import Modality

SIZE = (48, 32)
TARGET = Target(SIZE, PreprocessingConfig())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("deliver")
    training_data.write(root / "ready", "train", 5)
    training_data.write(root / "raw", "train", 3, raw=True, condition="night")
    return root


def cached_of(root, cache):
    return open_cached(open_source(root / "ready", TARGET, "train"), "ready", TARGET, cache)


def test_cached_frames_are_kept_and_are_what_the_preprocessor_gives(root, tmp_path):
    told = []
    data = open_data(root / "raw", "train")
    source = open_source(root / "raw", TARGET, "train")
    cached = open_cached(source, "raw", TARGET, tmp_path, lambda i, n: told.append((i, n)))
    images = Preprocessor(data.reference(2), SIZE).preprocess(data[2]).images
    assert told[-1] == (3, 3) and cached.present.all() and len(cached) == 3
    for modality, image in images.items():
        np.testing.assert_allclose(cached.images[2, modality], image, atol=2e-3)
    assert cached.labels.shape == (3, 64, 96)
    again = open_cached(source, "raw", TARGET, tmp_path, lambda i, n: pytest.fail("cached twice"))
    assert again.names == cached.names


def test_several_processes_cache_what_one_does_in_the_same_order(root, tmp_path, monkeypatch):
    alone = cached_of(root, tmp_path / "alone")
    monkeypatch.setattr(cached_dataset, "FRAMES_PER_PROCESS", 1)
    monkeypatch.setattr(cached_dataset.os, "sched_getaffinity", lambda _: range(3))
    told = []
    source = open_source(root / "ready", TARGET, "train")
    assert cached_dataset._samples(source, SIZE).num_workers == 3
    together = open_cached(source, "r", TARGET, tmp_path, lambda i, n: told.append((i, n)))
    assert told == [(i, len(alone)) for i in range(1, len(alone) + 1)]
    assert together.names == alone.names and together.conditions == alone.conditions
    assert np.array_equal(together.images, alone.images)
    assert np.array_equal(together.labels, alone.labels)


def test_what_a_process_cannot_read_is_named_as_if_there_were_one(root, tmp_path, monkeypatch):
    monkeypatch.setattr(cached_dataset, "FRAMES_PER_PROCESS", 1)
    monkeypatch.setattr(cached_dataset.os, "sched_getaffinity", lambda _: range(2))
    shutil.copytree(root / "ready", tmp_path / "data")
    source = open_source(tmp_path / "data", TARGET, "train")
    assert cached_dataset._samples(source, SIZE).num_workers == 2
    path = sorted((tmp_path / "data").rglob("*_semantic_front.png"))[3]
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=path.name) as told:
        open_cached(source, "data", TARGET, tmp_path / "cache")
    assert "Traceback" not in str(told.value)
    assert not list((tmp_path / "cache").iterdir())


def test_other_preprocessing_is_cached_apart(root, tmp_path):
    for preprocessing in (PreprocessingConfig(), PreprocessingConfig(range_far=50)):
        target = Target(SIZE, preprocessing)
        open_cached(open_source(root / "ready", target, "train"), "ready", target, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_label_made_again_is_cached_again(root, tmp_path):
    shutil.copytree(root / "ready", tmp_path / "data")
    for _ in range(2):
        source = open_source(tmp_path / "data", TARGET, "train")
        open_cached(source, "data", TARGET, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    label = next((tmp_path / "data").rglob("*_semantic_front.png"))
    os.utime(label, ns=(1, 1))
    open_cached(open_source(tmp_path / "data", TARGET, "train"), "data", TARGET, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_damaged_cache_names_its_folder_and_the_fix(root, tmp_path):
    source = open_source(root / "ready", TARGET, "train")
    open_cached(source, "ready", TARGET, tmp_path)
    images = next(tmp_path.glob("*/images.f16"))
    os.truncate(images, 100)
    with pytest.raises(ValueError, match=f"{images.parent.name} is damaged.*delete"):
        open_cached(source, "ready", TARGET, tmp_path)


def test_an_index_that_is_none_names_the_folder(root, tmp_path):
    cached_of(root, tmp_path)
    index = next(tmp_path.glob("*/index.json"))
    index.write_text("[]")
    with pytest.raises(ValueError, match=f"{index.parent.name} is damaged.*delete"):
        cached_of(root, tmp_path)


def test_frames_that_do_not_fit_on_the_disk_are_not_cached(root, tmp_path, monkeypatch):
    expected = cached_of(root, tmp_path / "measured")
    needed = expected.images.nbytes + 5 * expected.labels.nbytes  # pictures and weights, too
    for free in (needed, needed - 1):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if free == needed:
            assert len(cached_of(root, tmp_path / "enough")) == 5
        else:
            with pytest.raises(ValueError, match="5 cached frames need .*set data.cache to"):
                cached_of(root, tmp_path / "scarce")
            assert not list((tmp_path / "scarce").iterdir())


GOLDEN = Path(__file__).parent / f"golden_images_{CACHE_FORMAT}.npz"
"""What `golden_images` gave when the format was raised to this one."""

TOLERANCES = {Modality.RGB: 0.06}
"""Decoders of JPEG differ by a level or two; otherwise it is the rounding of float16."""


def write_golden_scene(root: Path) -> None:
    """A frame whose sensors are apart, turned, distorted and of other sizes than the camera."""
    training_data.write(root, "train", 1, raw=True)
    folder = next((root / "raw").rglob("calibration.json")).parent
    y, x = np.mgrid[0:64, 0:96]
    rgb = np.stack([x * 2, y * 4, 255 - x - y], -1)
    training_data.save(next(root.rglob("*_rgb_front.png")), rgb)
    depth = np.where((x // 6 + y // 8) % 5 == 0, 0, 3000 + 40 * x + 150 * y).astype(np.uint16)
    cv2.imwrite(str(folder / "000000_depth_front.png"), depth[:48, :64])
    b, a = np.mgrid[-1.0:1.0:40j, -1.2:1.2:60j]
    away = 6 + 4 * np.sin(5 * a) * np.cos(4 * b)
    cloud = np.stack([away, -a * away * 0.7, -b * away * 0.5, (a + 1.2) / 2.4], -1)
    np.save(folder / "000000_lidar_front.npy", cloud.reshape(-1, 4).astype(np.float32))
    n = np.arange(4000)
    np.savez(
        folder / "000000_event_front.npz",
        t=10**9 - 60_000_000 + n * 15_000,
        x=(n * 7 % 80).astype(np.uint16),
        y=(n * n // 80 % 60).astype(np.uint16),
        p=n % 3 == 0,
    )
    path = folder / "calibration.json"
    calibration = json.loads(path.read_text())
    turned = transform((0.1, -0.05, 0.02), (0.01, -0.02, 0.015, 1.0)).tolist()
    sensors = calibration["sensors"]
    sensors["rgb"]["camera"] |= {"distortion": [-0.1, 0.02, 0.001, -0.002, 0.0]}
    sizes = {"depth": (64, 48, 50.0), "event": (80, 60, 70.0)}
    for name, (width, height, f) in sizes.items():
        middle = {"cx": (width - 1) / 2, "cy": (height - 1) / 2}
        sensors[name]["camera"] = {"width": width, "height": height, "fx": f, "fy": f, **middle}
        sensors[name]["reference_from_sensor"] = turned
    path.write_text(json.dumps(calibration))


def golden_images(folder: Path) -> dict[str, np.ndarray]:
    """Cached images and labels of a made up scene, and of the demo's bag, by name."""
    write_golden_scene(folder / "scene")
    (folder / "bags").mkdir()
    bag = folder / "bags" / "streets"
    bag.symlink_to(resources.find("demo_data/streets"))
    found = {}
    for name, path, size in (("scene", folder / "scene", (24, 16)), ("bag", bag, (16, 9))):
        target = Target(size, PreprocessingConfig())
        source = open_source(path, target, "train", limit=1 if name == "scene" else 4)
        cached = open_cached(source, name, target, folder / "cache")
        assert cached.present[-1].all(), cached.reasons
        found[f"{name}_images"], found[f"{name}_label"] = cached.images[-1], cached.labels[-1]
    return found


def test_preprocessing_is_that_of_the_cache_s_format(tmp_path):
    change = "preprocessing has changed: raise CACHE_FORMAT in training/cached_dataset.py, then "
    change += f"write the golden images of the new format with python test/{Path(__file__).name}"
    assert GOLDEN.is_file(), change
    found = golden_images(tmp_path)
    with np.load(GOLDEN) as golden:
        assert set(golden) == set(found)
        for name, expected in golden.items():
            assert found[name].shape == expected.shape, change
            if name.endswith("_label"):
                assert np.array_equal(found[name], expected), f"{name}: {change}"
                continue
            for modality in Modality:
                apart = np.abs(found[name][modality] - expected[modality].astype(np.float32))
                # On another processor a point may round to the pixel beside its own.
                assert expected[modality].any()
                share = (apart > TOLERANCES.get(modality, 3e-3)).mean()
                assert share < 0.02, f"{name}, {modality.label}: {change}"


if __name__ == "__main__":
    if GOLDEN.exists():
        sys.exit(f"{GOLDEN} exists: raise CACHE_FORMAT first")
    with tempfile.TemporaryDirectory() as temporary:
        np.savez_compressed(GOLDEN, **golden_images(Path(temporary)))
