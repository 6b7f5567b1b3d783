"""Sensors that show another scene than the camera does: the fusion learns whom to doubt.

A wrong calibration, a stale measurement or a LiDAR from another world says something plausible that
is not there. Where the camera and another sensor contradict each other, the camera is right here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from any2seg_ros.training.augmentation import AugmentationConfig, Augmented, augment
from any2seg_ros.training.mixture import Mixture
from any2seg_ros.types import Modality


def invite(
    view: Augmented,
    number: int,
    mixture: Mixture,
    augmentations: Sequence[AugmentationConfig],
    generator: np.random.Generator,
) -> tuple[Augmented, Modality | None]:
    """A view of set `number`, now and then with one sensor's image of some other frame, and which.

    Never RGB, and never without RGB beside it. A set of images alone gets a guest from a set that
    has other sensors. `augmentations`: of each set.
    """
    share = augmentations[number].strangers
    if not share or not view.present[Modality.RGB] or generator.random() >= share:
        return view, None
    host = _host(number, mixture, generator)
    if host is None:
        return view, None
    cached, frames = mixture.sets[host], mixture.frames[host]
    frame = cached.frame(int(frames[generator.integers(len(frames))]))
    choices = [m for m in Modality if m != Modality.RGB and frame.present[m]]
    if view.present.sum() > 1:
        choices = [m for m in choices if view.present[m]]
    if not choices:
        return view, None
    stranger = Modality(generator.choice(choices))
    alone = np.arange(len(Modality)) == stranger
    other = augment(
        replace(frame, present=alone), augmentations[host], generator, mixture.preprocessing
    )
    if not other.present[stranger]:
        return view, None
    images = view.images.copy()
    images[stranger] = other.images[stranger]
    return replace(view, images=images, present=view.present | alone), stranger


def _host(number: int, mixture: Mixture, generator: np.random.Generator) -> int | None:
    """The set a stranger comes from: the same one, if it has other sensors than the camera."""
    hosts = [i for i, cached in enumerate(mixture.sets) if cached.present[:, 1:].any()]
    if number in hosts or not hosts:
        return number if hosts else None
    return int(generator.choice(hosts))


def without(subset: np.ndarray, stranger: Modality) -> np.ndarray:
    """The subset bool (M,) that may be judged by the label: a stranger only beside the camera."""
    if not subset[stranger]:
        return subset
    beside = subset.copy()
    beside[Modality.RGB] = True
    return beside
