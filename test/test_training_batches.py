"""Batches: a function of seed and step, shared by processes, loaded ahead."""

from __future__ import annotations

import multiprocessing
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import training_data

from any2seg_ros.datasets import Target, open_source
from any2seg_ros.network.modality_groups import ALL, ONE, SEVERAL
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.augmentation import AugmentationConfig
from any2seg_ros.training.batches import Batches, draw, trained_groups
from any2seg_ros.training.cached_dataset import open_cached
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.mixture import Mixture

SIZE = (48, 32)
TARGET = Target(SIZE, PreprocessingConfig())
CALM = AugmentationConfig((0, 0), 0, 1, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("deliver")
    training_data.write(root / "ready", "train", 5)
    training_data.write(root / "raw", "train", 3, raw=True, condition="night")
    return root


def mixture(cached):
    return Mixture([cached], len(DELIVER))


def cached_of(root, cache):
    return open_cached(open_source(root / "ready", TARGET, "train"), "ready", TARGET, cache)


def test_a_batch_is_a_function_of_seed_and_step(root, tmp_path):
    cached = cached_of(root, tmp_path)

    def batches(seed=0, rank=0, processes=1):
        losses = LossConfig(variants=("full", "random", "single"))
        sets, augmentation = mixture(cached), AugmentationConfig()
        return Batches(sets, augmentation, losses, 4, SIZE, seed, rank, processes)

    first, again = batches().at(3), batches().at(3)
    assert torch.equal(first.images, again.images) and torch.equal(first.subsets, again.subsets)
    assert not torch.equal(first.images, batches(seed=1).at(3).images)
    halves = [batches(rank=r, processes=2).at(3) for r in range(2)]
    assert torch.equal(torch.cat([h.images for h in halves]), first.images)
    assert torch.equal(torch.cat([h.subsets for h in halves], 1), first.subsets)
    for workers in (0, 2):
        coming = batches().ahead(2, 5, workers)
        ahead = [next(coming)]
        assert len(multiprocessing.active_children()) == workers
        ahead += coming
        assert len(ahead) == 3 and torch.equal(ahead[1].images, first.images)
        assert ahead[1].names == first.names and ahead[1].variants == first.variants


def test_subsets_are_trained_from_a_step_on(root, tmp_path):
    losses = LossConfig(variants=("full", "random", "single"), subsets_from=2)
    batches = Batches(mixture(cached_of(root, tmp_path)), CALM, losses, 4, SIZE, 0)
    before, after = batches.at(1), batches.at(2)
    assert before.variants == ("full",) and before.subsets.shape[0] == 1
    assert after.variants == losses.variants and after.subsets.shape[0] == 3
    full_only = Batches(mixture(cached_of(root, tmp_path)), CALM, LossConfig(("full",)), 4, SIZE, 0)
    assert torch.equal(before.images, full_only.at(1).images)
    with pytest.raises(ValueError, match="subsets_from"):
        LossConfig(variants=("random",), subsets_from=2)


def test_an_epoch_sees_every_frame_once(root, tmp_path):
    batches = Batches(mixture(cached_of(root, tmp_path)), CALM, LossConfig(("full",)), 1, SIZE, 0)
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


def test_groups_that_variants_train() -> None:
    assert trained_groups(["full"], [4]) == {ALL}
    assert trained_groups(["full"], [3, 4]) == {SEVERAL, ALL}
    assert trained_groups(["full", "single"], [4]) == {ALL, ONE}
    assert trained_groups(["random"], [4]) == {ONE, SEVERAL, ALL}
    assert trained_groups(["random"], [1]) == trained_groups(["single"], [4]) == {ONE}


def test_frames_without_any_usable_sensor_are_not_drawn(root, tmp_path):
    cached = cached_of(root, tmp_path)
    cached.present[1:] = False
    batches = Batches(mixture(cached), CALM, LossConfig(variants=("full", "single")), 1, SIZE, 0)
    assert batches.frames == 1 and {batches.at(step).names for step in range(3)} == {
        (cached.names[0],)
    }
    cached.present[:] = False
    with pytest.raises(ValueError, match="no training frame has a usable"):
        Batches(mixture(cached), CALM, LossConfig(), 1, SIZE, 0)


def test_what_a_worker_cannot_read_is_told_without_its_traceback(root, tmp_path, monkeypatch):
    batches = Batches(mixture(cached_of(root, tmp_path)), CALM, LossConfig(("full",)), 1, SIZE, 0)
    monkeypatch.setattr(batches, "_sample", lambda *_: (_ for _ in ()).throw(OSError("no disk")))
    with pytest.raises(OSError, match="^no disk$"):
        list(batches.ahead(0, 2, 1))


def test_workers_whose_batches_do_not_fit_into_shared_memory_are_refused(
    root, tmp_path, monkeypatch
):
    batches = Batches(mixture(cached_of(root, tmp_path)), CALM, LossConfig(("full",)), 2, SIZE, 0)
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
