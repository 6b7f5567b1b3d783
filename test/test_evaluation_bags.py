"""Evaluating bags: every subset, whatever is missing or broken in them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_drive
import torch

from any2seg_ros.datasets import Target, find_bags, open_source, parse_topics
from any2seg_ros.datasets.bag_source import BagSource
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.evaluation.evaluator import EvaluationConfig
from any2seg_ros.evaluation.run import Share, evaluate
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.replay.timeline import Timeline
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.types import Modality, Segmentation


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


def test_progress_never_counts_past_its_total(segmenter, drive, tmp_path, monkeypatch):
    told = []
    source = open_source(drive, Target.of(segmenter))
    monkeypatch.setattr(source, "_durations", [200_000_000])
    config = EvaluationConfig(modalities=source.modalities, robustness=(), latency_frames=0)
    evaluate(
        segmenter, source, config, "tiny", tmp_path, progress=lambda *done: told.append(done[:2])
    )
    assert told[0] == (1, 2) and len(told) > 2
    assert all(done <= total for done, total in told)


def test_events_that_are_pictures_in_a_bag_are_no_stream_of_packets(drive):
    def sliced(topics):
        walk = BagPlayer(drive, Preparation((64, 64), PreprocessingConfig()), topics)
        return walk.synchronizer.config.timing[Modality.EVENT].sliced

    assert sliced({}) and not sliced({"event": "/ground_truth/label/compressed"})


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


def test_labels_that_cannot_be_used_are_the_reason_why_no_frame_was_evaluated(segmenter, tmp_path):
    jpeg = cv2.imencode(".jpg", tiny_drive.label(0))[1].tobytes()
    rows = tiny_drive.rows(2)
    for _, topic, message in rows:
        if topic.startswith("/ground"):
            message.data = np.frombuffer(jpeg, np.uint8)
    source = open_source(tiny_drive.write(tmp_path / "bag", rows), Target.of(segmenter))
    with pytest.raises(ValueError, match="a label on /ground_truth.* packed as JPEG"):
        run(segmenter, source, tmp_path / "out")


def test_a_lidar_that_cannot_be_placed_is_none_of_the_sensors(segmenter, tmp_path):
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(4), lambda t: t != "/tf_static")
    source = open_source(bag, Target.of(segmenter))
    assert source.modalities == (Modality.RGB, Modality.DEPTH, Modality.EVENT)
    report = run(segmenter, source, tmp_path / "out")
    assert report["frames"] >= 2
    assert any("the LiDAR cannot be placed" in note for note in report["notes"])
    assert not any("no topic of" in note for note in report["notes"])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("silent", ["/depth/image/compressedDepth", "/lidar/points"])
def test_a_sensor_without_any_message_is_none_of_the_sensors(segmenter, tmp_path, silent, whole):
    rows = [row for row in tiny_drive.rows(5) if row[1] != silent]
    bag = tiny_drive.write(tmp_path / "bag", rows)
    if not whole:
        file = next(bag.glob("*.mcap"))
        file.write_bytes(file.read_bytes()[:-40])
    source = open_source(bag, Target.of(segmenter))
    name = silent.split("/")[1]
    assert source.modalities == tuple(m for m in Modality if m.label != name)
    report = run(segmenter, source, tmp_path / "out")
    assert report["frames"] >= 2
    passed_over = f"{name}: none was taken, passed over: {silent} (no messages)"
    assert passed_over in report["notes"]


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


def test_a_folder_of_bags_has_those_of_recorders_that_died_too(tmp_path):
    for name, file in (("a", "metadata.yaml"), ("b", "b_0.mcap"), ("c", "c_0.db3"), ("d", "d.txt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    assert find_bags(tmp_path) == [tmp_path / name for name in "abc"]
    assert find_bags(tmp_path / "b") == [tmp_path / "b"]
    assert find_bags(tmp_path / "d") == []


def test_topics_are_given_by_role():
    assert parse_topics(["RGB=/left", "label=/truth"]) == {"rgb": "/left", "label": "/truth"}
    with pytest.raises(ValueError, match="'rgb' names no topic"):
        parse_topics(["rgb"])
    with pytest.raises(ValueError, match="unknown modality 'radar'.*event, or label$"):
        parse_topics(["radar=/x"])


def test_a_timeline_has_no_more_buckets_however_long_it_gets():
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
