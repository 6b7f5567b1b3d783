"""Data sets, placed frames, augmentation and batches."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import training_data

from any2seg_ros.datasets import Target, open_data, open_source
from any2seg_ros.datasets.deliver import decode_label
from any2seg_ros.network.adapters import ALL, ALONE, SOME
from any2seg_ros.preprocessing import PreprocessingConfig, Preprocessor
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training import cached_dataset as placed_module
from any2seg_ros.training.augmentation import AugmentationConfig, augment
from any2seg_ros.training.batches import Batches, companies, draw
from any2seg_ros.training.cached_dataset import CachedFrame, open_placed
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.types import IGNORE, Events, Modality

SIZE = (48, 32)
TARGET = Target(SIZE, PreprocessingConfig())
CALM = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("deliver")
    training_data.write(root / "ready", "train", 5)
    training_data.write(root / "raw", "train", 3, raw=True, condition="night")
    return root


def mixture(*placed):
    return Mixture(placed, len(DELIVER))


def augmented(images, label, config, seed):
    frame = CachedFrame(images, np.ones(len(images), bool), label)
    view = augment(frame, config, np.random.default_rng(seed))
    return view.images, view.label


def placed_of(root, cache):
    return open_placed(open_source(root / "ready", TARGET, "train"), "ready", TARGET, cache)


def test_labels_are_decoded_as_deliver_writes_them():
    raw = np.array([[0, 1, 13], [25, 26, 255]], np.uint8)
    assert decode_label(raw).tolist() == [[IGNORE, 0, 12], [24, IGNORE, IGNORE]]


def test_delivers_frames_have_ready_images_and_their_label(root):
    data = open_data(root / "ready", "train")
    frame = data[0]
    assert len(data) == 5 and data.name(0) == "sun/MAP_1_point1/000000"
    assert frame.subset == tuple(Modality)
    assert set(np.unique(frame.label)) == set(training_data.CLASSES.values())
    for measurement in frame.measurements.values():
        assert measurement.data.shape == (64, 96, 3) and measurement.data.dtype == np.uint8
    rgb = frame.measurements[Modality.RGB].data
    stored = cv2.imread(str(next((root / "ready").rglob("000000_rgb_front.png"))))
    assert np.array_equal(rgb, stored[..., ::-1])


def test_deliver_s_label_is_the_red_channel_with_alpha_and_without(root, tmp_path):
    expected = open_data(root / "ready", "train")[0].label
    training_data.write(tmp_path, "train", 1)
    path = next(tmp_path.rglob("*_semantic_front.png"))
    red = cv2.imread(str(path))[..., 2]
    other, opaque = np.full_like(red, 3), np.full_like(red, 255)
    for channels in ((other, other, red), (other, other, red, opaque)):
        cv2.imwrite(str(path), np.dstack(channels))
        assert np.array_equal(open_data(tmp_path, "train")[0].label, expected)


def test_event_images_of_half_the_size_come_at_the_labels_size(root, tmp_path):
    training_data.write(tmp_path, "train", 1)
    path = next(tmp_path.rglob("*_event_front.png"))
    cv2.imwrite(str(path), cv2.imread(str(path))[::2, ::2])
    frame = open_data(tmp_path, "train")[0]
    assert frame.measurements[Modality.EVENT].data.shape == (64, 96, 3)


def test_streets_frames_have_raw_measurements_with_their_geometry(root):
    data = open_data(root / "raw", "train")
    frame = data[1]
    depth, lidar = frame.measurements[Modality.DEPTH], frame.measurements[Modality.LIDAR]
    events = frame.measurements[Modality.EVENT]
    assert depth.data.dtype == np.uint16 and depth.camera.width == 96
    assert lidar.data.shape == (500, 4) and lidar.reference_from_sensor[2, 0] == 1
    assert isinstance(events.data, Events) and len(events.data) == 300
    assert data.conditions(1) == ("night",) and data.reference(1).fx == 60


def test_a_missing_file_is_named(root, tmp_path):
    training_data.write(tmp_path, "train", 1)
    path = next(tmp_path.rglob("*_lidar_front.png"))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path.name} is missing"):
        open_data(tmp_path, "train")[0]


def test_an_unreadable_file_is_named(tmp_path):
    training_data.write(tmp_path, "train", 1)
    path = next(tmp_path.rglob("*_rgb_front.png"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=f"{path.name} is no readable image"):
        open_data(tmp_path, "train")[0]


def test_an_empty_split_and_a_strange_folder_say_what_they_lack(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="no frames at .*val"):
        open_data(root / "ready", "val")
    with pytest.raises(FileNotFoundError, match="no data at"):
        open_source(tmp_path / "none", TARGET, "train")
    with pytest.raises(ValueError, match="neither img/"):
        open_source(tmp_path, TARGET, "train")


def test_placed_frames_are_kept_and_are_what_the_placer_gives(root, tmp_path):
    told = []
    data = open_data(root / "raw", "train")
    source = open_source(root / "raw", TARGET, "train")
    placed = open_placed(source, "raw", TARGET, tmp_path, lambda i, n: told.append((i, n)))
    images = Preprocessor(data.reference(2), SIZE).preprocess(data[2]).images
    assert told[-1] == (3, 3) and placed.present.all() and len(placed) == 3
    for modality, image in images.items():
        np.testing.assert_allclose(placed.images[2, modality], image, atol=2e-3)
    assert placed.labels.shape == (3, 64, 96)
    again = open_placed(source, "raw", TARGET, tmp_path, lambda i, n: pytest.fail("placed twice"))
    assert again.names == placed.names


def test_several_processes_place_what_one_does_in_the_same_order(root, tmp_path, monkeypatch):
    alone = placed_of(root, tmp_path / "alone")
    monkeypatch.setattr(placed_module, "FRAMES_A_PROCESS", 1)
    monkeypatch.setattr(placed_module.os, "sched_getaffinity", lambda _: range(3))
    told = []
    source = open_source(root / "ready", TARGET, "train")
    assert placed_module._samples(source, SIZE).num_workers == 3
    together = open_placed(source, "r", TARGET, tmp_path, lambda i, n: told.append((i, n)))
    assert told == [(i, len(alone)) for i in range(1, len(alone) + 1)]
    assert together.names == alone.names and together.conditions == alone.conditions
    assert np.array_equal(together.images, alone.images)
    assert np.array_equal(together.labels, alone.labels)


def test_what_a_process_cannot_read_is_named_as_if_there_were_one(root, tmp_path, monkeypatch):
    monkeypatch.setattr(placed_module, "FRAMES_A_PROCESS", 1)
    monkeypatch.setattr(placed_module.os, "sched_getaffinity", lambda _: range(2))
    shutil.copytree(root / "ready", tmp_path / "data")
    source = open_source(tmp_path / "data", TARGET, "train")
    assert placed_module._samples(source, SIZE).num_workers == 2
    path = sorted((tmp_path / "data").rglob("*_semantic_front.png"))[3]
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=path.name) as told:
        open_placed(source, "data", TARGET, tmp_path / "cache")
    assert "Traceback" not in str(told.value)
    assert not list((tmp_path / "cache").iterdir())


def test_another_placing_is_placed_again(root, tmp_path):
    for placing in (PreprocessingConfig(), PreprocessingConfig(range_far=50)):
        target = Target(SIZE, placing)
        open_placed(open_source(root / "ready", target, "train"), "ready", target, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_label_made_again_is_placed_again(root, tmp_path):
    shutil.copytree(root / "ready", tmp_path / "data")
    for _ in range(2):
        source = open_source(tmp_path / "data", TARGET, "train")
        open_placed(source, "data", TARGET, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    label = next((tmp_path / "data").rglob("*_semantic_front.png"))
    os.utime(label, ns=(1, 1))
    open_placed(open_source(tmp_path / "data", TARGET, "train"), "data", TARGET, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_damaged_placed_frames_name_their_folder_and_the_mend(root, tmp_path):
    source = open_source(root / "ready", TARGET, "train")
    open_placed(source, "ready", TARGET, tmp_path)
    images = next(tmp_path.glob("*/images.f16"))
    os.truncate(images, 100)
    with pytest.raises(ValueError, match=f"{images.parent.name} are damaged.*delete"):
        open_placed(source, "ready", TARGET, tmp_path)


def test_an_index_of_placed_frames_that_is_none_names_the_folder(root, tmp_path):
    placed_of(root, tmp_path)
    index = next(tmp_path.glob("*/index.json"))
    index.write_text("[]")
    with pytest.raises(ValueError, match=f"{index.parent.name} are damaged.*delete"):
        placed_of(root, tmp_path)


def test_frames_that_do_not_fit_on_the_disk_are_not_placed(root, tmp_path, monkeypatch):
    expected = placed_of(root, tmp_path / "measured")
    needed = expected.images.nbytes + 5 * expected.labels.nbytes  # pictures and weights, too
    for free in (needed, needed - 1):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if free == needed:
            assert len(placed_of(root, tmp_path / "enough")) == 5
        else:
            with pytest.raises(ValueError, match="5 placed frames need .*set data.cache to"):
                placed_of(root, tmp_path / "scarce")
            assert not list((tmp_path / "scarce").iterdir())


def test_without_augmentation_nothing_changes():
    images = np.random.default_rng(0).random((4, 3, 8, 12), dtype=np.float32)
    label = np.arange(24 * 16, dtype=np.uint8).reshape(16, 24)
    changed, same = augmented(images, label, CALM, 1)
    np.testing.assert_allclose(changed, np.clip(images, -10, 10), atol=1e-5)
    assert np.array_equal(same, label)


def test_flip_and_crop_move_images_and_label_together():
    """The label's value is painted in every modality: it must still be there afterwards."""
    label = np.kron(np.arange(24, dtype=np.uint8).reshape(4, 6), np.ones((16, 16), np.uint8))
    images = np.repeat((label[::2, ::2] / 30)[None, None], 3, 1).repeat(4, 0)
    config = AugmentationConfig((0, 0), 1, 2, 0, 0, 0, 0, 0)
    changed, moved = augmented(images, label, config, 3)
    assert not np.array_equal(moved, label)
    small = moved[::2, ::2]
    for modality in (Modality.DEPTH, Modality.LIDAR, Modality.EVENT):
        off = np.abs(changed[modality, 0] * 30 - small)
        assert np.median(off) < 0.01 and (off < 0.5).mean() > 0.8


@pytest.mark.parametrize("crop", [(0, 0), (36, 24), (40, 20)])
def test_a_crop_has_its_size_and_the_label_twice_that(crop):
    label = np.kron(np.arange(24, dtype=np.uint8).reshape(4, 6), np.ones((16, 16), np.uint8))
    images = np.repeat((label[::2, ::2] / 30)[None, None], 3, 1).repeat(4, 0)
    config = AugmentationConfig(crop, 0.5, 1.5, 0, 0, 0, 0, 0)
    width, height = config.size((48, 32))
    for seed in range(20):
        changed, moved = augmented(images, label, config, seed)
        assert changed.shape == (4, 3, height, width) and moved.shape == (2 * height, 2 * width)
        off = np.abs(changed[Modality.LIDAR, 0] * 30 - moved[::2, ::2])
        assert np.median(off) < 0.01 and (off < 0.5).mean() > 0.8


def test_a_corrupted_sensor_leaves_the_others_alone():
    images = np.random.default_rng(0).random((4, 3, 16, 24), dtype=np.float32)
    label = np.zeros((32, 48), np.uint8)
    config = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 1, 0)
    changed, _ = augmented(images, label, config, 2)
    assert not np.allclose(changed[Modality.LIDAR], images[Modality.LIDAR])
    for modality in (Modality.RGB, Modality.DEPTH, Modality.EVENT):
        np.testing.assert_allclose(changed[modality], images[modality], atol=1e-5)


def test_every_corruption_gives_numbers():
    images = np.random.default_rng(0).random((4, 3, 16, 24), dtype=np.float32)
    config = AugmentationConfig((0, 0), 0.5, 1.5, 0.4, 1, 1, 1, 1)
    for seed in range(30):
        changed, _ = augmented(images, np.zeros((32, 48), np.uint8), config, seed)
        assert changed.dtype == np.float32 and changed.shape == images.shape
        assert np.isfinite(changed).all()


def test_a_batch_is_a_function_of_seed_and_step(root, tmp_path):
    placed = placed_of(root, tmp_path)

    def batches(seed=0, rank=0, processes=1):
        losses = LossConfig(variants=("full", "random", "single"))
        return Batches(
            mixture(placed), AugmentationConfig(), losses, 4, SIZE, seed, rank, processes
        )

    first, again = batches().at(3), batches().at(3)
    assert torch.equal(first.images, again.images) and torch.equal(first.subsets, again.subsets)
    assert not torch.equal(first.images, batches(seed=1).at(3).images)
    halves = [batches(rank=r, processes=2).at(3) for r in range(2)]
    assert torch.equal(torch.cat([h.images for h in halves]), first.images)
    assert torch.equal(torch.cat([h.subsets for h in halves], 1), first.subsets)
    for loaders in (0, 2):
        coming = batches().ahead(2, 5, loaders)
        ahead = [next(coming)]
        assert len(multiprocessing.active_children()) == loaders
        ahead += coming
        assert len(ahead) == 3 and torch.equal(ahead[1].images, first.images)
        assert ahead[1].names == first.names and ahead[1].variants == first.variants


def test_subsets_are_trained_from_a_step_on(root, tmp_path):
    losses = LossConfig(variants=("full", "random", "single"), subsets_from=2)
    batches = Batches(mixture(placed_of(root, tmp_path)), CALM, losses, 4, SIZE, 0)
    before, after = batches.at(1), batches.at(2)
    assert before.variants == ("full",) and before.subsets.shape[0] == 1
    assert after.variants == losses.variants and after.subsets.shape[0] == 3
    full_only = Batches(mixture(placed_of(root, tmp_path)), CALM, LossConfig(("full",)), 4, SIZE, 0)
    assert torch.equal(before.images, full_only.at(1).images)
    with pytest.raises(ValueError, match="subsets_from"):
        LossConfig(variants=("random",), subsets_from=2)


def test_an_epoch_sees_every_frame_once(root, tmp_path):
    batches = Batches(
        mixture(placed_of(root, tmp_path)), CALM, LossConfig(variants=("full",)), 1, SIZE, 0
    )
    names = [batches.at(step).names[0] for step in range(5)]
    assert len(set(names)) == 5


def test_subsets_are_drawn_from_what_is_present():
    present = np.array([True, False, True, True])
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        subset = draw("random", present, generator)
        assert subset.any() and not (subset & ~present).any()
        seen.add(tuple(subset))
        single = draw("single", present, generator, (1.0, 9.0, 1e-9, 1.0))
        assert single.sum() == 1 and not single[2]
    assert len(seen) == 7
    assert np.array_equal(draw("full", present, generator), present)


def test_companies_of_variants() -> None:
    assert companies(["full"], [4]) == {ALL}
    assert companies(["full"], [3, 4]) == {SOME, ALL}
    assert companies(["full", "single"], [4]) == {ALL, ALONE}
    assert companies(["random"], [4]) == {ALONE, SOME, ALL}
    assert companies(["random"], [1]) == companies(["single"], [4]) == {ALONE}


def test_a_bag_with_ground_truth_is_a_data_set(tmp_path):
    import tiny_drive

    bag = tmp_path / "drive"
    tiny_drive.write(bag)
    source = open_source(bag, TARGET)
    placed = open_placed(source, "bag", TARGET, tmp_path / "cache")
    assert source.taxonomy is DELIVER and len(placed) == 10 and len(set(placed.names)) == 10
    assert placed.present[-1].all() and placed.images[-1, Modality.RGB].any()
    expected = cv2.resize(tiny_drive.label(9), (96, 64), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(placed.labels[9], expected)


def test_variants_share_the_loss_as_they_are_told_to():
    variants = ("full", "random", "single")
    assert LossConfig(variants=variants).shares_of(variants) == pytest.approx([1 / 3] * 3)
    told = LossConfig(variants=variants, variant_shares=(2, 1, 1))
    assert told.shares_of(variants) == (0.5, 0.25, 0.25)
    assert told.shares_of(("full",)) == (1.0,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"variant_shares": (1.0, 1.0)}, "variant_shares"),
        ({"variants": ("full", "full")}, "names one twice"),
        ({"teacher": "w.safetensors", "distillation": 0.0}, "teaches nothing"),
        ({"variants": ("single", "full"), "intra_modal": 0.1}, "name full first"),
    ],
)
def test_losses_that_make_no_sense_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        LossConfig(**values)


def test_frames_without_any_usable_sensor_are_not_drawn(root, tmp_path):
    placed = placed_of(root, tmp_path)
    placed.present[1:] = False
    batches = Batches(mixture(placed), CALM, LossConfig(variants=("full", "single")), 1, SIZE, 0)
    assert batches.frames == 1 and {batches.at(step).names for step in range(3)} == {
        (placed.names[0],)
    }
    placed.present[:] = False
    with pytest.raises(ValueError, match="no frame of a train set"):
        Batches(mixture(placed), CALM, LossConfig(), 1, SIZE, 0)


def test_what_a_loader_cannot_read_is_told_without_its_traceback(root, tmp_path, monkeypatch):
    batches = Batches(mixture(placed_of(root, tmp_path)), CALM, LossConfig(("full",)), 1, SIZE, 0)
    monkeypatch.setattr(batches, "_sample", lambda *_: (_ for _ in ()).throw(OSError("no disk")))
    with pytest.raises(OSError, match="^no disk$"):
        list(batches.ahead(0, 2, 1))


def test_loaders_whose_batches_do_not_fit_into_shared_memory_are_refused(
    root, tmp_path, monkeypatch
):
    batches = Batches(mixture(placed_of(root, tmp_path)), CALM, LossConfig(("full",)), 2, SIZE, 0)
    batch = batches.at(0)
    # Two ahead a worker, and one in use; weights are as large as labels.
    needed = 5 * (batch.images.nbytes + 2 * batch.labels.nbytes)
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if fits:
            assert len(list(batches.ahead(0, 2, 2))) == 2
        else:
            with pytest.raises(ValueError, match="set num_workers: 0, or start .* --shm-size"):
                next(batches.ahead(0, 2, 2))
    assert len(list(batches.ahead(0, 2))) == 2
