"""Samples of data sets in folders: each process its share, broken frames left out if wanted."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import training_data

from any2seg_ros.datasets import LeftOut, Target, open_data, open_source
from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.taxonomy import CITYSCAPES
from any2seg_ros.types import Modality

TARGET = Target((48, 32), PreprocessingConfig())


@pytest.fixture
def root(tmp_path):
    training_data.write(tmp_path, "train", 5, raw=True)
    return tmp_path


def names(source, rank: int = 0, world: int = 1) -> list[str]:
    return [sample.name[-1] for sample in source.samples(rank, world)]


def test_samples_are_what_the_preprocessor_makes_of_the_frames(root):
    data = open_data(root, "train")
    sample = next(iter(open_source(root, TARGET, "train").samples(0, 1)))
    expected = Preprocessor(data.reference(0), TARGET.size).preprocess(data[0]).images
    assert set(sample.images) == set(Modality)
    for modality, image in sample.images.items():
        assert np.array_equal(image, expected[modality])
    assert sample.picture.shape == (64, 96, 3) and np.array_equal(sample.label, data[0].label)


def test_processes_share_the_frames(root):
    source = open_source(root, TARGET, "train")
    assert names(source) == ["0", "1", "2", "3", "4"]
    assert names(source, 0, 2) == ["0", "2", "4"] and names(source, 1, 2) == ["1", "3"]


def test_a_limit_spreads_the_frames_and_is_noted(root):
    source = open_source(root, TARGET, "train", limit=3)
    assert names(source) == ["0", "2", "4"] and len(source) == 3
    assert source.notes == ["limited to 3 of 5 frames"]


def test_a_broken_frame_is_an_error_or_is_left_out(root):
    next(root.rglob("000001_semantic_front.png")).unlink()
    next(root.rglob("000003_lidar_front.npy")).write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="000001_semantic_front"):
        list(open_source(root, TARGET, "train").samples(0, 1))
    samples = list(open_source(root, TARGET, "train", leave_out=True).samples(0, 1))
    left = [sample for sample in samples if isinstance(sample, LeftOut)]
    assert [one.reason for one in left] == ["no ground truth", "a file cannot be read"]
    assert "000003_lidar_front.npy" in left[1].example and len(samples) == 5


def test_the_fingerprint_changes_with_the_files(root):
    before = open_source(root, TARGET, "train").fingerprint
    assert open_source(root, TARGET, "train").fingerprint == before
    assert open_source(root, TARGET, "train", limit=2).fingerprint != before
    os.utime(next(root.rglob("*_depth_front.png")), ns=(1, 1))
    assert open_source(root, TARGET, "train").fingerprint != before


def test_data_of_other_classes_than_the_networks_are_refused(root):
    with pytest.raises(ValueError, match="has the classes of deliver, the network those of city"):
        open_source(root, replace(TARGET, taxonomy=CITYSCAPES), "train")
