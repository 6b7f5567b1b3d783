"""The batch of a step: a function of seed and step alone, so that a run can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from any2seg_ros.network.modality_groups import group_of
from any2seg_ros.training.augmentation import AugmentationConfig, augment
from any2seg_ros.training.cached_dataset import raising_errors
from any2seg_ros.training.config import LossConfig
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.training.strangers import invite, without
from any2seg_ros.types import Modality

SHARED_MEMORY = Path("/dev/shm")
"""Where workers put their batches; 64 MB in a container unless told otherwise."""

PREFETCHED = 2
"""Batches that each worker makes ahead."""

PATIENCE = 600.0
"""Seconds to wait for a batch before it is an error."""


@dataclass(frozen=True, eq=False)
class Batch:
    """images float32 (B, M, 3, H, W), labels uint8 (B, h, w), present bool (B, M).

    subsets bool (V, B, M): the subset of each sample in each of `variants`. names by sample.
    weights uint8 (B, h, w): how much labels are to be trusted, 255 for wholly; None for wholly
    everywhere. taught bool (B,): which samples a frozen teacher knows; None for all.
    present and subsets stay on the CPU, which decides from them what is computed.
    """

    images: Tensor
    labels: Tensor
    present: Tensor
    subsets: Tensor
    variants: tuple[str, ...]
    names: tuple[str, ...]
    conditions: tuple[tuple[str, ...], ...]
    weights: Tensor | None = None
    taught: Tensor | None = None

    def pin_memory(self) -> Batch:
        """The same in pinned memory; called by a DataLoader."""
        return self._with(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """The same with images and labels on a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        weights = None if self.weights is None else change(self.weights)
        return replace(
            self, images=change(self.images), labels=change(self.labels), weights=weights
        )


class Batches(Dataset):
    """Batches by step from cached data sets: this process's share of each, loaded ahead.

    Every batch has samples of the sets by their shares, as exactly as whole samples can.
    """

    def __init__(
        self,
        mixture: Mixture,
        augmentation: AugmentationConfig,
        losses: LossConfig,
        batch_size: int,
        label_size: tuple[int, int],
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if batch_size % processes:
            raise ValueError(f"batch_size {batch_size} is no multiple of {processes} processes")
        self._mixture = mixture
        self._augmentation = augmentation
        self._augmentations = [
            replace(augmentation, foreign=augmentation.foreign * share) for share in mixture.foreign
        ]
        self._losses = losses
        self._batch_size = batch_size
        self._label_size = label_size
        self._seed = seed
        share = batch_size // processes
        self._mine = range(rank * share, (rank + 1) * share)
        self._places = mixture.places(batch_size)

    @property
    def frames(self) -> int:
        """Frames of an epoch."""
        return sum(len(frames) for frames in self._mixture.frames)

    def ahead(
        self, first: int, last: int, workers: int = 0, pinned: bool = False
    ) -> Iterator[Batch]:
        """The batches of the steps first..last - 1, loaded ahead of their use.

        Loaded by `workers` processes, or by a thread if 0; `pinned` in memory for a GPU.
        """
        if workers:
            self._check_memory(workers)
            yield from raising_errors(
                DataLoader(
                    self,
                    None,
                    sampler=range(first, last),
                    num_workers=workers,
                    prefetch_factor=PREFETCHED,
                    timeout=PATIENCE,
                    pin_memory=pinned,
                    multiprocessing_context="fork",
                )
            )
            return
        with ThreadPoolExecutor(1) as pool:
            futures: list[Future[Batch]] = []
            for step in range(first, last):
                futures.append(pool.submit(self.at, step))
                if len(futures) > 1:
                    yield futures.pop(0).result()
            for future in futures:
                yield future.result()

    def _check_memory(self, workers: int) -> None:
        """ValueError where the batches in flight do not fit: workers would wait for ever."""
        if not SHARED_MEMORY.is_dir():
            return
        height, width = self._mixture.sets[0].images.shape[-2:]
        width, height = self._augmentation.size((width, height))
        floats = len(Modality) * 3 * height * width
        sample = 4 * floats + 2 * self._label_size[0] * self._label_size[1]
        needed = (workers * PREFETCHED + 1) * len(self._mine) * sample
        free = shutil.disk_usage(SHARED_MEMORY).free
        if needed > free:
            raise ValueError(
                f"num_workers: {workers} need {needed / 1e6:.0f} MB of {SHARED_MEMORY}, which has "
                f"{free / 1e6:.0f} MB: set num_workers: 0, or start the container with "
                f"--shm-size {-(-2 * needed // 10**6)}m"
            )

    def __getitem__(self, step: int) -> Batch | Exception:
        """The batch of a step, for PyTorch's DataLoader; see `raising_errors`."""
        try:
            return self.at(step)
        except (ValueError, OSError) as error:
            return error

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        variants = self._losses.variants_at(step)
        samples = [self._sample(step, place, variants) for place in self._mine]
        images, labels, present, subsets, names, conditions, weights, taught = zip(
            *samples, strict=True
        )
        return Batch(
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(np.stack(labels)),
            torch.from_numpy(np.stack(present)),
            torch.from_numpy(np.stack(subsets, 1)),
            variants,
            names,
            conditions,
            torch.from_numpy(np.stack(weights)),
            torch.tensor(taught),
        )

    def _sample(self, step: int, place: int, variants: Sequence[str]) -> tuple:
        """The sample at a place of a step's batch: the next of its set's shuffled epochs."""
        number, nth, of = self._places[place]
        cached, frames = self._mixture.sets[number], self._mixture.frames[number]
        epoch, position = divmod(step * of + nth, len(frames))
        order = np.random.default_rng([self._seed, 0, epoch, number]).permutation(len(frames))
        index = frames[order[position]]
        generator = np.random.default_rng([self._seed, 1, step, place])
        view = augment(
            cached.frame(index), self._augmentations[number], generator, self._mixture.preprocessing
        )
        view, stranger = invite(view, number, self._mixture, self._augmentations, generator)
        present = view.present if view.present.any() else cached.present[index]
        subsets = self._subsets(variants, present, stranger, generator)
        rows = _spread(view.label.shape[0], self._label_size[1])
        columns = _spread(view.label.shape[1], self._label_size[0])
        pixels = np.ix_(rows, columns)
        label = self._mixture.values[number][view.label[pixels]]
        weight = np.full_like(label, 255) if view.weight is None else view.weight[pixels]
        return (
            view.images,
            label,
            present,
            subsets,
            cached.names[index],
            tuple(cached.conditions[index]),
            np.ascontiguousarray(weight),
            self._mixture.taught[number] and stranger is None,
        )

    def _subsets(
        self,
        variants: Sequence[str],
        present: np.ndarray,
        stranger: Modality | None,
        generator: np.random.Generator,
    ) -> np.ndarray:
        """A subset of each variant, bool (V, M); none of a stranger alone."""
        shares = self._losses.single_shares
        if stranger is None:
            return np.stack([draw(v, present, generator, shares) for v in variants])
        known = present & (np.arange(len(Modality)) != stranger)
        drawn = [draw(v, known if v == "single" else present, generator, shares) for v in variants]
        return np.stack([without(subset, stranger) for subset in drawn])


def draw(
    variant: str,
    present: np.ndarray,
    generator: np.random.Generator,
    shares: Sequence[float] = LossConfig.single_shares,
) -> np.ndarray:
    """The subset bool (M,) of a sample: `full`, any non-empty one (`random`), or a `single` one.

    shares: how often `single` draws each modality, relative to each other.
    """
    if variant == "full":
        return present
    choices = np.flatnonzero(present)
    subset = np.zeros_like(present)
    if variant == "single":
        weights = np.asarray(shares)[choices]
        subset[generator.choice(choices, p=weights / weights.sum())] = True
    else:
        bits = int(generator.integers(1, 2 ** len(choices)))
        subset[choices] = [bool(bits >> i & 1) for i in range(len(choices))]
    return subset


def trained_groups(variants: Iterable[str], counts: Iterable[int]) -> set[int]:
    """The groups of subsets that `variants` draw from samples of `counts` modalities."""
    sizes = {"full": lambda n: {n}, "single": lambda n: {1}, "random": lambda n: range(1, n + 1)}
    counts = set(counts)
    return {group_of(size) for v in variants for count in counts for size in sizes[v](count)}


def _spread(length: int, count: int) -> np.ndarray:
    """The pixels nearest to the centres of `count` equal parts."""
    return ((np.arange(count) + 0.5) * length / count).astype(int)
