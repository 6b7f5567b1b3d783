"""Evaluating bags: every subset, whatever is missing or broken in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_drive
import torch

from any2seg_ros.datasets import Target, find_bags, open_source, parse_topics
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.evaluation.evaluator import EvaluationConfig
from any2seg_ros.evaluation.run import Share, evaluate
from any2seg_ros.evaluation.timeline import Timeline
from any2seg_ros.modalities import Modality, Segmentation
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    return Segmenter.open(EngineConfig(str(path), "torch", "cpu", threads=1))


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return tiny_drive.write(tmp_path_factory.mktemp("bags") / "drive", tiny_drive.rows(5))


def run(segmenter, source, out: Path) -> dict:
    config = EvaluationConfig(modalities=source.modalities, robustness=(), latency_frames=0)
    return evaluate(segmenter, source, config, "tiny", out)


def test_a_bag_with_labels_is_evaluated_and_its_incomplete_frames_are_counted(
    segmenter, drive, tmp_path
):
    report = run(segmenter, open_source(drive, Target.of(segmenter)), tmp_path)
    assert len(report["subsets"]) == 15
    assert report["split"] is None and report["conditions"] == {}
    assert 3 <= report["frames"] <= 5
    assert report["frames"] + sum(report["left_out"].values()) >= 5


def test_a_bag_without_a_topic_is_evaluated_with_the_sensors_that_it_has(segmenter, tmp_path):
    bag = tiny_drive.write(
        tmp_path / "bag", tiny_drive.rows(4), lambda t: not t.startswith(("/lidar", "/event"))
    )
    report = run(segmenter, open_source(bag, Target.of(segmenter)), tmp_path / "out")
    assert list(report["subsets"]) == ["rgb", "depth", "rgb+depth"]
    assert any("no topic of lidar" in note for note in report["notes"])


def test_a_bag_without_ground_truth_is_refused_before_anything_is_done(segmenter, tmp_path):
    bag = tiny_drive.write(
        tmp_path / "bag", tiny_drive.rows(2), lambda t: not t.startswith("/ground")
    )
    with pytest.raises(ValueError, match="has no ground truth: give a folder of labels"):
        open_source(bag, Target.of(segmenter))


def test_every_process_scores_its_share_of_the_very_same_frames(segmenter, drive):
    def names(rank: int, world: int) -> list[str]:
        samples = open_source(drive, Target.of(segmenter)).samples(rank, world)
        return [sample.name for sample in samples if hasattr(sample, "name")]

    whole, shares = names(0, 1), [names(rank, 2) for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == sorted(whole)
    assert shares[0] and shares[1]
    assert Share.from_environment() == Share(0, 1)


def test_a_folder_of_bags_is_evaluated_as_one_with_a_row_a_bag(segmenter, drive, tmp_path):
    bags = [tiny_drive.write(tmp_path / name, tiny_drive.rows(3)) for name in ("a", "b")]
    assert find_bags(tmp_path) == bags
    source = open_source(tmp_path, Target.of(segmenter), limit=4)
    assert isinstance(source, BagSource) and len(source) == 4
    report = run(segmenter, source, tmp_path / "out")
    assert set(report["conditions"]) <= {"a", "b"} and report["conditions"]
    assert "limited to the first 4 frames" in report["notes"]


def test_topics_are_given_by_role():
    assert parse_topics(["RGB=/left", "label=/truth"]) == {"rgb": "/left", "label": "/truth"}
    with pytest.raises(ValueError, match="'rgb' names no topic"):
        parse_topics(["rgb"])
    with pytest.raises(ValueError, match="unknown modality"):
        parse_topics(["radar=/x"])


def test_a_timeline_has_no_more_buckets_however_long_it_gets():
    import numpy as np

    timeline = Timeline(width=0.5, buckets=16)
    one = Segmentation(
        np.zeros((2, 2), np.uint8), np.full((2, 2), 0.5, np.float32), {Modality.RGB: 1.0}
    )
    for frame in range(1000):
        timeline.add(frame * 0.1, one if frame % 10 else None, None)
    rows = timeline.rows()
    assert len(rows) <= 16
    assert sum(row["frames"] for row in rows) == 900
    assert sum(row["blind"] for row in rows) == 100
    assert rows[3]["confidence"] == pytest.approx(0.5)
    assert rows[3]["weights"]["rgb"] == pytest.approx(1.0)
    assert rows[3]["miou"] is None
