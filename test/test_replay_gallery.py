"""Which frames of a replay are shown, and each sensor alone beside all of them together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_drive
import tiny_network

from any2seg_ros.engine import Segmenter
from any2seg_ros.html.pictures import shrunk
from any2seg_ros.metrics import Confusion
from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.replay.fault_schedule import parse_drops
from any2seg_ros.replay.gallery import ReplayGallery
from any2seg_ros.replay.run import Replay
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.pipeline import Pipeline, Result
from any2seg_ros.types import Modality


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    return tiny_network.segmenter(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    """Two and a half seconds with labels."""
    return tiny_drive.write(tmp_path_factory.mktemp("bags") / "drive", tiny_drive.rows(25))


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory) -> Path:
    rows, folder = tiny_drive.rows(25), tmp_path_factory.mktemp("bags")
    return tiny_drive.write(folder / "unlabelled", rows, lambda topic: "ground_truth" not in topic)


def replay(
    segmenter: Segmenter, bag: Path, out: Path, drops: str = ""
) -> tuple[dict, ReplayGallery]:
    config = ReplayConfig(faults=parse_drops(drops), outputs=("mask",))
    work = Replay(bag, segmenter, config)
    return work.run(out, "tiny"), work.gallery


def results(segmenter: Segmenter, bag: Path) -> tuple[list[Result], BagPlayer]:
    """All frames of a bag with a mask."""
    pipeline = Pipeline(segmenter)
    player = BagPlayer(bag, pipeline)
    frames = [heard.frame for heard in player.frames() if heard.frame is not None]
    return [r for r in map(pipeline.process, frames) if r.segmentation is not None], player


def test_without_labels_frames_rank_by_confidence_and_one_a_second_is_shown(
    segmenter, unlabelled, tmp_path
):
    _, gallery = replay(segmenter, unlabelled, tmp_path / "out")
    found, player = results(segmenter, unlabelled)
    scores = {
        (result.frame.stamp - player.start) / 1e9: float(result.segmentation.confidence.mean())
        for result in found
    }
    best = {int(t): max(s for u, s in scores.items() if int(u) == int(t)) for t in scores}
    worst = {int(t): min(s for u, s in scores.items() if int(u) == int(t)) for t in scores}
    assert len(best) == 3
    assert [f.score for f in gallery.frames.best] == sorted(best.values(), reverse=True)
    assert [f.score for f in gallery.frames.worst] == sorted(worst.values())
    seen = next(f for f in gallery.frames.best + gallery.frames.worst if "rgb+" in f.name)
    assert list(seen.pictures) == ["camera", "overlay", "mask", "confidence"]


def test_with_labels_frames_rank_by_miou_and_one_without_a_label_does_not_rank(
    segmenter, drive, tmp_path
):
    report, gallery = replay(segmenter, drive, tmp_path / "out")
    assert 0 < report["scored"] < report["masks"]
    shown = gallery.frames.best + gallery.frames.worst
    assert len(shown) == 6 and all("truth" in frame.pictures for frame in shown)
    assert gallery.frames.best[0].score > gallery.frames.worst[0].score


def test_the_strip_has_every_sensor_alone_and_how_far_it_agrees(segmenter, drive, tmp_path):
    report, gallery = replay(segmenter, drive, tmp_path / "out")
    moments = gallery.strip.frames
    assert len(moments) == 3
    moment = moments[-1]
    assert set(moment.alone) == set(Modality) and moment.together.agreement is None
    found, player = results(segmenter, drive)
    (result,) = (
        r for r in found if f"{(r.frame.stamp - player.start) / 1e9:07.2f} s" in moment.name
    )
    alone = segmenter.segment({Modality.LIDAR: result.images[Modality.LIDAR]}, (96, 64))
    view = moment.alone[Modality.LIDAR]
    agreement = 100 * np.mean(alone.labels == result.segmentation.labels)
    assert view.agreement == pytest.approx(agreement) and 0 < agreement < 100
    assert view.confidence == pytest.approx(float(alone.confidence.mean()))
    label = tiny_drive.label((result.frame.stamp - tiny_drive.START) // tiny_drive.PERIOD - 1)
    assert view.miou == pytest.approx(Confusion(25).add(label, alone.labels).miou())


def test_the_report_has_the_means_of_each_sensor_alone(segmenter, drive, tmp_path):
    report, gallery = replay(segmenter, drive, tmp_path / "out")
    views = [m.alone[Modality.RGB] for m in gallery.strip.frames if len(m.alone) > 1]
    rgb = report["alone"]["rgb"]
    assert set(report["alone"]) == {"rgb", "depth", "lidar", "event"}
    assert rgb["frames"] == len(views) > 1
    assert rgb["confidence"] == pytest.approx(np.mean([view.confidence for view in views]))
    assert rgb["agreement"] == pytest.approx(np.mean([view.agreement for view in views]))
    assert 0 < rgb["miou"] < 100


def test_a_single_sensor_is_not_compared_with_itself(segmenter, drive, tmp_path):
    report, gallery = replay(segmenter, drive, tmp_path / "out", "rgb,depth,event")
    assert report["alone"] == {}
    moment = gallery.strip.frames[0]
    assert moment.camera is None and list(moment.alone) == [Modality.LIDAR]
    view = moment.alone[Modality.LIDAR]
    assert view.agreement is None and view.confidence == moment.together.confidence


def test_the_strip_changes_no_mask(segmenter, drive, tmp_path, monkeypatch):
    replay(segmenter, drive, tmp_path / "with")
    monkeypatch.setattr(ReplayGallery, "add", lambda *given: None)
    replay(segmenter, drive, tmp_path / "without")
    with_it, without = (tmp_path / name / "replay.mcap" for name in ("with", "without"))
    assert with_it.read_bytes() == without.read_bytes()


def test_pictures_are_no_wider_than_they_need_to_be(segmenter, unlabelled, tmp_path, monkeypatch):
    widths = []

    def small(picture: np.ndarray, width: int = 48) -> np.ndarray:
        widths.append(width)
        return shrunk(picture, min(width, 48))

    monkeypatch.setattr("any2seg_ros.replay.gallery.shrunk", small)
    _, gallery = replay(segmenter, unlabelled, tmp_path / "out")
    frame, moment = gallery.frames.best[0], gallery.strip.frames[-1]
    assert {picture.shape[1] for picture in frame.pictures.values()} == {48}
    assert moment.camera.shape[1] == moment.together.overlay.shape[1] == 48
    assert 320 in widths
