"""Samples of bags: every process reads all of them and takes its share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_drive

from any2seg_ros import label_maps
from any2seg_ros.datasets import Labelling, Sample, Target, open_source
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import CITYSCAPES, DELIVER
from any2seg_ros.types import Modality

TARGET = Target((48, 32), PreprocessingConfig())


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    bag = tmp_path_factory.mktemp("bags") / "drive"
    tiny_drive.write(bag)
    return bag


def labelled(source, rank: int = 0, world: int = 1) -> list[Sample]:
    return [s for s in source.samples(rank, world) if isinstance(s, Sample)]


def test_a_bag_with_ground_truth_is_a_data_set(bag):
    source = open_source(bag, TARGET)
    samples = labelled(source)
    assert source.taxonomy is DELIVER and len({sample.name for sample in samples}) == 10
    assert not source.independent and source.split is None
    assert set(samples[-1].images) == set(Modality) == set(source.modalities)
    for number, sample in enumerate(samples):
        assert np.array_equal(sample.label, tiny_drive.label(number))


def test_labels_of_other_proportions_are_one_error(bag, tmp_path):
    wide = tmp_path / "wide"
    wide.mkdir()
    stamp = int(labelled(open_source(bag, TARGET))[2].name.rpartition("/")[2])
    height, width = tiny_drive.label(2).shape
    for name, columns in (("half", width // 2), ("wide", width * 2)):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        label = cv2.resize(tiny_drive.label(2), (columns, height // 2), interpolation=0)
        cv2.imwrite(str(folder / f"{stamp}.png"), label)
    half = open_source(bag, TARGET, labelling=Labelling((tmp_path / "half",)))
    assert len(labelled(half)) == 1
    with pytest.raises(ValueError, match=rf"the label of .*/{stamp} is .* the same proportions"):
        labelled(open_source(bag, TARGET, labelling=Labelling((wide,))))


def test_processes_share_the_frames_and_see_the_same_ones(bag):
    whole = {sample.name: sample for sample in labelled(open_source(bag, TARGET))}
    shares = [labelled(open_source(bag, TARGET), rank, 2) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == 5
    assert {sample.name for share in shares for sample in share} == set(whole)
    for sample in (*shares[0], *shares[1]):
        for modality, image in whole[sample.name].images.items():
            assert np.array_equal(sample.images[modality], image)


def test_a_limit_is_noted(bag):
    source = open_source(bag, TARGET, limit=3)
    assert len(list(source.samples(0, 1))) == 3
    assert "limited to the first 3 frames" in source.notes


def test_a_limit_can_be_spread_over_the_whole_bag(bag):
    source = BagSource("drive", [bag], TARGET, 3, unlabelled=True, spread=True)
    stamps = [int(sample.name.rpartition("/")[2]) for sample in source.samples(0, 1)]
    apart = np.diff(stamps)
    assert len(stamps) == 3 and apart.min() > 3 * tiny_drive.PERIOD and apart.max() < 5e8
    assert not any("limited" in note for note in source.notes)
    assert len(source) == 3


def test_a_limit_is_spread_over_all_bags_however_short(tmp_path):
    """Each begins with a frame, whatever is left of the time between two."""
    bags = [tiny_drive.write(tmp_path / str(n), tiny_drive.rows(4)) for n in range(4)]
    source = BagSource("drives", bags, TARGET, 6, unlabelled=True, spread=True)
    names = [sample.name.partition("/")[0] for sample in source.samples(0, 1)]
    assert set(names) == {bag.name for bag in bags} and len(names) <= 6


def test_other_topics_are_other_data(bag):
    def fingerprint(*topics: str) -> str:
        return open_source(bag, TARGET, topics=topics).fingerprint

    first = fingerprint("lidar=/lidar/points")
    assert first != fingerprint("label=/ground_truth/label/compressed")
    assert first == fingerprint("lidar=/lidar/points")


def test_other_meanings_of_label_ids_are_other_data(bag, tmp_path, monkeypatch):
    """A map of the package may have changed, where the labels are the same."""
    monkeypatch.setattr(label_maps, "find", lambda name: tmp_path / Path(name).name)
    labels = tmp_path / "labels"
    labels.mkdir()
    cv2.imwrite(str(labels / "1.png"), np.zeros((4, 6), np.uint8))

    def fingerprint(content: str) -> str:
        (tmp_path / "mine.yaml").write_text(content)
        labelling = Labelling((labels,), ("mine",))
        return BagSource("drive", [bag], TARGET, labelling=labelling).fingerprint

    first = fingerprint("0: Road\n1: Cars\n2: Road\n")
    assert fingerprint("0: Road\n1: Cars\n2: Cars\n") != first
    assert fingerprint("0: Road\n1: Cars\n2: Road\n") == first


def test_the_classes_are_those_of_the_target(bag):
    assert open_source(bag, replace(TARGET, taxonomy=CITYSCAPES)).taxonomy is CITYSCAPES


def test_the_vehicle_s_motion_is_compensated_where_that_is_asked_for(tmp_path):
    rows = tiny_drive.rows(10)
    begin, end = rows[0][0], rows[-1][0] + tiny_drive.PERIOD
    for _, topic, message in rows:
        if topic == "/lidar/points":
            tiny_drive.timed(message, 0.1)
    rows = sorted([*rows, *tiny_drive.odometry(begin, end, 12.0)], key=lambda row: row[0])
    bag = tiny_drive.write(tmp_path / "bag", rows)
    off, on = open_source(bag, TARGET), open_source(bag, TARGET, motion_compensation="odom")
    assert off.fingerprint != on.fingerprint
    moved = 0
    for one, other in zip(labelled(off), labelled(on), strict=True):
        assert set(one.images) == set(other.images)
        for modality, image in one.images.items():
            same = np.array_equal(image, other.images[modality])
            assert same == (modality != Modality.LIDAR)
            moved += not same
    assert moved >= 9
    assert not any("compensated" in note for note in on.notes)
