"""Cached data sets: made once, made again when anything changes, damage is named."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import training_data

from any2seg_ros.datasets import Target, open_data, open_source
from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.training import cached_dataset
from any2seg_ros.training.cached_dataset import open_cached

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
    needed = expected.images.nbytes + expected.labels.nbytes
    for free in (needed, needed - 1):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if free == needed:
            assert len(cached_of(root, tmp_path / "enough")) == 5
        else:
            with pytest.raises(ValueError, match="5 cached frames need .*set data.cache to"):
                cached_of(root, tmp_path / "scarce")
            assert not list((tmp_path / "scarce").iterdir())
