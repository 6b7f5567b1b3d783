"""Which pixels are taught, and what becomes of the others."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_drive
from adaptation_data import Place

from any2seg_ros.adaptation.config import AdaptationConfig, TeachingConfig
from any2seg_ros.adaptation.drive import open_drive
from any2seg_ros.adaptation.teaching import LEVELS, Lessons, Opinion, opinion, teach, thresholds
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.metrics import Confusion
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.cached_dataset import CachedDataset, open_cached
from any2seg_ros.types import IGNORE, Modality


@pytest.fixture(scope="module")
def segmenter(drive: Place) -> Segmenter:
    return Segmenter.open(EngineConfig(str(drive.weights), "torch", "cpu", threads=1))


@pytest.fixture(scope="module")
def streets(drive: Place, segmenter: Segmenter) -> CachedDataset:
    """Frames with all sensors, and with labels of their own."""
    target = Target.of(segmenter)
    source = open_source(drive.streets, target, "train")
    return open_cached(source, "teaching", target, drive.root / "teaching_cache")


def counts(**pixels: dict[int, int]) -> np.ndarray:
    table = np.zeros((len(pixels), LEVELS), np.int64)
    for row, levels in zip(table, pixels.values(), strict=True):
        for level, count in levels.items():
            row[level] = count
    return table


def test_each_class_has_the_threshold_of_its_own_surest_share():
    config = TeachingConfig(share=0.5, floor=0.4, always=0.9)
    road = {250: 50, 240: 50}
    people = {180: 50, 130: 50}
    assert thresholds(counts(road=road, people=people), config).tolist() == [230, 180]


def test_nothing_below_the_floor_is_taught():
    config = TeachingConfig(share=1.0, floor=0.5, always=0.95)
    assert thresholds(counts(wall={20: 100}, none={}), config).tolist() == [128, 128]


def test_what_is_unsure_is_ignored_and_the_rest_counts_as_much_as_it_is_sure(streets, tmp_path):
    shape = streets.labels.shape[-2:]
    labels = np.full(shape, 6, np.uint8)
    labels[:, ::2] = 9
    sureness = np.full(shape, 200, np.uint8)
    sureness[::2] = 100
    lessons = Lessons(tmp_path, unlabelled(streets, tmp_path), 25)
    lessons.add(0, Opinion(labels, sureness, {Modality.RGB: labels}, (Modality.RGB,)))
    taught = lessons.write(tmp_path / "taught", [0], np.full(25, 150))
    frame = taught.frame(0)
    assert (frame.label[::2] == IGNORE).all() and (frame.label[1::2] == labels[1::2]).all()
    assert (frame.weight[1::2] == 200).all()
    assert not taught.present[1:].any() and (taught.labels[1] == IGNORE).all()
    assert taught.images[0].tobytes() == streets.images[0].tobytes()
    lessons.close()
    assert not list(tmp_path.glob("opinions*"))


def unlabelled(cached: CachedDataset, folder) -> CachedDataset:
    from any2seg_ros.training.cached_dataset import relabelled

    nothing = np.full(cached.labels.shape[-2:], IGNORE, np.uint8)
    groups = [[k] for k in range(25)]
    rows = [(nothing, nothing)] * len(cached)
    return relabelled(cached, folder / "none", groups, cached.present, rows)


def test_given_labels_go_before_the_teachers(streets, segmenter, tmp_path):
    """Here the data set's own stand for what another network sees."""
    with teach(segmenter, streets, [0], tmp_path, TeachingConfig()) as lessons:
        taught = lessons.write(tmp_path / "taught", [0], np.zeros(25))
    given = np.asarray(streets.labels[0])
    assert (taught.labels[0] == np.where(given == IGNORE, taught.labels[0], given)).all()
    assert taught.groups == streets.groups


def test_what_is_wrongly_seen_counts_against_its_class(tmp_path):
    """Were a class there twice, as the teacher's and as another network's, it would not."""
    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(2))
    target = Target((96, 64), PreprocessingConfig())
    config = AdaptationConfig((bag,), tmp_path / "out")
    cached = open_drive(config, target, lambda done, total: None).cached
    labels = np.zeros(cached.labels.shape[-2:], np.uint8)
    labels[:, ::2] = 9
    lessons = Lessons(tmp_path, cached, 25)
    lessons.add(0, Opinion(labels, np.full_like(labels, 255), {}, ()))
    taught = lessons.write(tmp_path / "taught", [0], np.zeros(25))
    lessons.close()
    groups = taught.class_groups(DELIVER)
    confusion = Confusion(len(groups))
    confusion.add(taught.labels[0], groups.seen(taught.labels[0], np.zeros_like(labels)))
    assert confusion.miou() == 25


def test_opinions_are_removed_when_teaching_ends_early(streets, segmenter, tmp_path):
    def interrupted(done: int, total: int) -> None:
        assert (tmp_path / "opinions.u8").is_file()
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        teach(segmenter, streets, [0], tmp_path, TeachingConfig(), interrupted),
    ):
        pass
    with (
        pytest.raises(ValueError, match="doubtful"),
        teach(segmenter, streets, [0], tmp_path, TeachingConfig()),
    ):
        raise ValueError("doubtful")
    assert not list(tmp_path.glob("opinions*"))


def test_agreement_makes_surer(streets, segmenter):
    alone = opinion(segmenter, streets, 0, TeachingConfig(agreement=0.0))
    agreed = opinion(segmenter, streets, 0, TeachingConfig(agreement=1.0))
    assert (alone.labels == agreed.labels).all()
    assert (agreed.sureness >= alone.sureness).all() and (agreed.sureness > alone.sureness).any()
    everyone = np.all([one == alone.labels for one in alone.alone.values()], 0)
    nobody = ~np.any([one == alone.labels for one in alone.alone.values()], 0)
    assert (agreed.sureness[nobody] == alone.sureness[nobody]).all()
    assert everyone.any()


def test_a_mirrored_frame_is_seen_mirrored(streets, segmenter, tmp_path):
    """The teacher looks both ways: what it sees of the mirrored frame is the mirror image."""
    import shutil

    mirrored = tmp_path / "mirrored"
    shutil.copytree(streets.folder, mirrored)
    images = np.array(streets.images)[..., ::-1]
    (mirrored / "images.f16").write_bytes(np.ascontiguousarray(images).tobytes())
    one = opinion(segmenter, streets, 0, TeachingConfig())
    other = opinion(segmenter, CachedDataset(mirrored), 0, TeachingConfig())
    assert (one.labels == other.labels[:, ::-1]).mean() > 0.99
    assert set(one.sensors) == set(Modality)
