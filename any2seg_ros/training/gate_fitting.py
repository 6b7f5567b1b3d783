"""Fits the gate: frames with broken and foreign sensors, and what each sensor was worth there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from any2seg_ros.engine import Segmenter
from any2seg_ros.engine.gate import Gate, statistics
from any2seg_ros.training.augmentation import AugmentationConfig, augment
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.types import IGNORE, Modality, Subset

BROKEN = 0.35
"""How often each sensor of a frame is broken."""
RIDGES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
KEPT_BACK = 5
"""Every fifth frame is for choosing the ridge."""
STRIDE = 4
"""Every so manyth pixel of a label, in both directions, is enough to tell the worth."""
MOST = 0.5
"""A frame's worth is clipped to this share of its pixels: one frame is not to outweigh many."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What one sensor was worth in one frame, beside so many others.

    statistics (F,) of its features; worth: the share of labelled pixels that are right with it and
    were not without.
    """

    modality: Modality
    statistics: np.ndarray
    among: int
    worth: float
    frame: int


def observe(
    segmenter: Segmenter,
    mixture: Mixture,
    frames: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Observation]:
    """Observations of views of the mixture's frames, each of whose sensors may be broken."""
    config = AugmentationConfig((0, 0), 0.5, 1.0, 0.2, BROKEN, BROKEN, BROKEN, BROKEN, 1.5, 0.7)
    places = mixture.places(max(len(mixture.sets), 12))
    observations: list[Observation] = []
    for number in range(frames):
        generator = np.random.default_rng([seed, number])
        which = places[number % len(places)][0]
        cached, own = mixture.sets[which], mixture.frames[which]
        index = int(own[generator.integers(len(own))])
        view = augment(cached.frame(index), config, generator, mixture.preprocessing)
        label = np.ascontiguousarray(mixture.values[which][view.label[::STRIDE, ::STRIDE]])
        images = _with_blanks(view.images, view.present, generator)
        if len(images) > 1 and (label != IGNORE).any():
            observations += _observed(segmenter, mixture, images, label, number)
        progress(number + 1, frames)
    return observations


def _with_blanks(
    images: np.ndarray, present: np.ndarray, generator: np.random.Generator
) -> dict[Modality, np.ndarray]:
    """The images by modality; now and then one shows nothing, or another frame's noise."""
    found = {m: images[m] for m in Modality if present[m]}
    for modality in found:
        draw = generator.random()
        if draw < 0.06:
            found[modality] = np.zeros_like(found[modality])
        elif draw < 0.09:
            low, high = found[modality].min(), found[modality].max()
            found[modality] = np.full_like(found[modality], low if draw < 0.075 else high)
    return found


def _observed(
    segmenter: Segmenter,
    mixture: Mixture,
    images: Mapping[Modality, np.ndarray],
    label: np.ndarray,
    number: int,
) -> list[Observation]:
    """What every sensor is worth in every subset of the images that has another one."""
    maps = segmenter.encode(images)
    subsets = [s for k in range(1, len(images) + 1) for s in combinations(sorted(images), k)]
    found = segmenter.fuse_all(
        [{m: maps[m] for m in subset} for subset in subsets], label.shape[::-1]
    )
    told = label != IGNORE
    right: dict[Subset, float] = {}
    for subset, segmentation in zip(subsets, found, strict=True):
        hit = mixture.members[label[told], segmentation.labels[told]]
        right[subset] = float(hit.mean())
    seen = {m: statistics([segmenter.array(scale) for scale in maps[m]]) for m in images}
    return [
        Observation(m, seen[m], len(s), right[s] - right[tuple(o for o in s if o != m)], number)
        for s in subsets
        if len(s) > 1
        for m in s
    ]


def fit(observations: list[Observation], margin: float = 0.01) -> Gate:
    """The gate that predicts the observed worth: a ridge regression for each sensor, whose ridge is
    chosen on frames that were kept back."""
    gate = Gate({}, {}, {}, {}, margin)
    for modality in Modality:
        own = [o for o in observations if o.modality == modality]
        if len(own) < 20:
            continue
        mean, scale, weights, bias = _fitted(own)
        gate = replace(
            gate,
            mean={**gate.mean, modality: mean},
            scale={**gate.scale, modality: scale},
            weights={**gate.weights, modality: weights},
            bias={**gate.bias, modality: bias},
        )
    return gate


def _fitted(own: list[Observation]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Normalisation, weights and a bias for two, three and four sensors."""
    raw = np.stack([o.statistics for o in own]).astype(np.float64)
    mean, scale = raw.mean(0), raw.std(0) + 1e-3
    among = np.stack([[o.among == count for count in (2, 3, 4)] for o in own]).astype(float)
    rows = np.concatenate([np.clip((raw - mean) / scale, -8, 8), among], 1)
    worth = np.clip([o.worth for o in own], -MOST, MOST)
    held = np.array([o.frame % KEPT_BACK == 0 for o in own])
    trials = [_ridge(rows[~held], worth[~held], ridge) for ridge in RIDGES]
    errors = [np.square(rows[held] @ trial - worth[held]).mean() for trial in trials]
    best = _ridge(rows, worth, RIDGES[int(np.argmin(errors))]) if held.any() else trials[-1]
    return tuple(a.astype(np.float32) for a in (mean, scale, best[:-3], best[-3:]))  # type: ignore[return-value]


def _ridge(rows: np.ndarray, worth: np.ndarray, ridge: float) -> np.ndarray:
    """Weights that predict `worth` from `rows`, whose last three columns are free of the ridge."""
    penalty = np.full(rows.shape[1], ridge)
    penalty[-3:] = 1e-3
    return np.linalg.solve(rows.T @ rows + np.diag(penalty), rows.T @ worth)
