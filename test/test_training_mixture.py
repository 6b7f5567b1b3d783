"""Data sets that are trained on together: shares of a batch, one numbering of labels, sensors."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import training_data

from any2seg_ros.configuration import build
from any2seg_ros.datasets import Labelling, Target, open_source
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.training.batches import Batches
from any2seg_ros.training.cached_dataset import open_cached
from any2seg_ros.training.config import DataSetConfig, LossConfig, TrainingConfig
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.types import IGNORE, Modality

SIZE = (48, 32)
TARGET = Target(SIZE, PreprocessingConfig())
CALM = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0)
ROAD, LINE, SKY = (DELIVER.id(name) for name in ("Road", "RoadLine", "Sky"))


def fake(groups, frames=10):
    """A cached set of labels alone."""
    labels = np.zeros((frames, 8, 8), np.uint8)
    return Sized(present=np.ones((frames, 4), bool), groups=groups, labels=labels)


class Sized(SimpleNamespace):
    def __len__(self):
        return len(self.labels)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Frames of all sensors in our classes, and images alone with a map of their own."""
    root = tmp_path_factory.mktemp("sets")
    training_data.write(root / "streets", "train", 4, raw=True)
    for name in ("images", "labels"):
        (root / "photos" / name).mkdir(parents=True)
    ids = np.zeros((64, 96), np.uint8)
    ids[32:] = 1
    for i in range(3):
        picture = np.full((64, 96, 3), 40 * i, np.uint8)
        cv2.imwrite(str(root / "photos" / "images" / f"{i}.png"), picture)
        cv2.imwrite(str(root / "photos" / "labels" / f"{i}.png"), ids)
    (root / "photos" / "labels.yaml").write_text("0: Sky\n1: [Road, RoadLine]\n")
    return [
        open_cached(open_source(root / name, TARGET, "train"), name, TARGET, root / "cache")
        for name in ("streets", "photos")
    ]


@pytest.mark.parametrize(
    ("shares", "batch", "counts"),
    [
        ((1, 1), 8, [4, 4]),
        ((3, 1), 8, [6, 2]),
        ((4, 2, 3, 4), 13, [4, 2, 3, 4]),
        ((100, 1), 8, [7, 1]),
        ((1, 1, 1), 3, [1, 1, 1]),
        ((2.5, 1.5), 10, [6, 4]),
    ],
)
def test_every_batch_has_the_sets_by_their_shares_and_at_least_one_of_each(shares, batch, counts):
    places = Mixture([fake([[0]]) for _ in shares], 25, shares).places(batch)
    assert len(places) == batch
    assert [Counter(p[0] for p in places)[i] for i in range(len(shares))] == counts
    for number, count in enumerate(counts):
        assert sorted(nth for s, nth, of in places if s == number) == list(range(count))


def test_halves_of_a_batch_have_all_sets():
    places = Mixture([fake([[0]])] * 2, 25, (1, 3)).places(8)
    assert {p[0] for p in places[:4]} == {p[0] for p in places[4:]} == {0, 1}


def test_a_batch_without_a_place_for_each_set_is_refused():
    with pytest.raises(ValueError, match="batch of 2 has no place for each of 3"):
        Mixture([fake([[0]])] * 3, 25).places(2)


def test_labels_of_all_sets_get_one_numbering_with_the_classes_first():
    mixture = Mixture([fake([[3], [5, 6]]), fake([[6, 5], [7]])], 25)
    first, second = mixture.values
    assert first[:3].tolist() == [3, 25, IGNORE] and second[:3].tolist() == [25, 7, IGNORE]
    assert mixture.grouped and np.flatnonzero(mixture.members[25]).tolist() == [5, 6]
    assert not mixture.members[IGNORE].any()
    assert not Mixture([fake([[3]])], 25).grouped


def test_labels_are_counted_as_often_as_their_sets_are_met():
    common, rare = fake([[1]]), fake([[2]])
    counts = np.bincount(Mixture([common, rare], 25, (3, 1)).sample_of_labels(8))
    assert counts[1] == 3 * counts[2]


def test_a_batch_has_the_sensors_that_each_frame_has(sets):
    mixture = Mixture(sets, len(DELIVER), (1, 1), (True, False))
    batch = Batches(mixture, CALM, LossConfig(), 4, SIZE, 0).at(0)
    photos = ~batch.taught
    assert photos.sum() == 2
    assert batch.present[~photos].all() and torch.equal(
        batch.present[photos], torch.tensor([[True, False, False, False]] * 2)
    )
    assert not batch.images[photos, 1:].any()
    assert not batch.subsets[:, photos][:, :, 1:].any()
    assert set(batch.labels[photos].unique().tolist()) == {SKY, 25}
    assert set(batch.labels[~photos].unique().tolist()) <= set(range(25))


def test_every_set_is_walked_through_in_shuffled_epochs_of_its_own(sets):
    batches = Batches(Mixture(sets, len(DELIVER), (2, 1)), CALM, LossConfig(), 3, SIZE, 0)
    names = [name for step in range(6) for name in batches.at(step).names]
    counts = Counter(names)
    assert {counts[str(i)] for i in range(3)} == {2}
    assert {n for name, n in counts.items() if "/" in name} == {3}


def test_pictures_are_as_the_network_gets_them_on_the_vehicle(sets):
    """A view of the whole frame shows what the preprocessing shows."""
    for placed in sets:
        batch = Batches(Mixture([placed], len(DELIVER)), CALM, LossConfig(), 2, SIZE, 0).at(0)
        for image, name in zip(batch.images, batch.names, strict=True):
            kept = placed.images[placed.names.index(name)]
            off = np.abs(image.numpy() - kept.astype(np.float32))
            for modality in np.flatnonzero(placed.present[0]):
                assert np.median(off[modality]) < 0.02, Modality(modality)
                assert (off[modality] < 0.1).mean() > 0.95, Modality(modality)


def test_a_recipe_names_data_sets_with_their_shares():
    content = {
        "data": {
            "train": [
                "data/streets",
                {"path": "data/photos", "share": 2, "label_map": "camvid", "taught": False},
            ]
        }
    }
    streets, photos = build(TrainingConfig, content).data.train
    assert streets == DataSetConfig("data/streets")
    assert photos.share == 2 and photos.labelling() == Labelling(label_maps=("camvid",))


def test_a_data_set_without_a_path_is_refused():
    with pytest.raises(ValueError, match="no path"):
        build(TrainingConfig, {"data": {"train": [{"share": 2}]}})


def test_frames_read_by_another_label_map_are_cached_anew(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / name / "a_0.png"), np.ones((32, 48), np.uint8))
    labels = []
    for name, text in (("one", "1: Sky\n2: Road\n"), ("two", "2: Sky\n1: Road\n")):
        (tmp_path / f"{name}.yaml").write_text(text)
        labelling = Labelling(label_maps=(str(tmp_path / f"{name}.yaml"),))
        source = open_source(tmp_path / "set", TARGET, "train", labelling=labelling)
        cached = open_cached(source, "set", TARGET, tmp_path / "cache")
        labels.append(cached.groups[cached.labels[0, 0, 0]])
    assert labels == [[SKY], [ROAD]]


def test_a_set_may_keep_its_sensors_as_they_are(sets):
    """Other makes of sensors are drawn by each set's own share."""
    config = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0, foreign=1.0)
    for share, same in ((0.0, True), (1.0, False)):
        mixture = Mixture([sets[0]], len(DELIVER), foreign=(share,))
        views = Batches(mixture, config, LossConfig(), 8, SIZE, 0).at(0)
        calm = Batches(mixture, CALM, LossConfig(), 8, SIZE, 0).at(0)
        assert views.names == calm.names
        assert torch.equal(views.images, calm.images) == same
