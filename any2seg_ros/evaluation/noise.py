"""Noise on the images that networks eat: the published NM and RMM, and the clipped noise.

NM and RMM are those of the robustness benchmark (Liao et al., "Benchmarking Multi-modal Semantic
Segmentation under Sensor Failures", arXiv 2503.18445), frame by frame, on normalised images, with
torch's generator in the benchmark's order: the same seed gives the same arrays. `clipped_noise` is
ours, of what a sensor in 0..1 may show; the two are never mixed in one row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from any2seg_ros.preprocessing.rgb import IMAGENET_MEAN, IMAGENET_STD
from any2seg_ros.types import Modality

SALT_AND_PEPPER = {"low": 0.05, "mid": 0.1, "high": 0.2}
GAUSSIAN = {"low": 0.1, "mid": 0.2, "high": 0.5}
DRAWN_IN_ORDER = (Modality.RGB, Modality.DEPTH, Modality.EVENT, Modality.LIDAR)
"""The order of DELIVER's networks, in which the benchmark draws."""
WITH_GAUSSIAN = (Modality.RGB, Modality.DEPTH, Modality.LIDAR)

RGB_MEAN = IMAGENET_MEAN.reshape(3, 1, 1)
RGB_STD = IMAGENET_STD.reshape(3, 1, 1)


def torch_generator(seed: int, *key: int) -> torch.Generator:
    """A generator that depends on the seed and the key only, not on what was done before."""
    sequence = np.random.SeedSequence([seed, *(abs(part) for part in key)])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def nm(
    images: Mapping[Modality, np.ndarray], level: str, generator: torch.Generator
) -> dict[Modality, np.ndarray]:
    """NM: normalised modality images float32 (3, H, W) with noise of a level, low, mid or high.

    First salt and pepper of density .05, .1, .2 on each: half as many elements (not pixels) as the
    density says, drawn with replacement, become the image's own maximum, then as many its minimum.
    Then Gaussian noise of sigma .1, .2, .5 on all but events. Nothing is clipped.
    """
    noisy = {
        m: _salted(_batch(images[m]), SALT_AND_PEPPER[level], generator)
        for m in DRAWN_IN_ORDER
        if m in images
    }
    for modality in WITH_GAUSSIAN:
        if modality in noisy:
            image = noisy[modality]
            noise = torch.randn(image.size(), generator=generator) * GAUSSIAN[level]
            noisy[modality] = image + noise
    return {m: noisy[m][0].numpy() for m in images}


def rmm(
    images: Mapping[Modality, np.ndarray], fraction: float, generator: torch.Generator
) -> dict[Modality, np.ndarray]:
    """RMM: normalised modality images float32 (3, H, W), a fraction of their elements zeroed."""
    zeroed = {}
    for modality in DRAWN_IN_ORDER:
        if modality in images:
            image = _batch(images[modality]).clone()
            image[torch.rand(image.shape, generator=generator) < fraction] = 0
            zeroed[modality] = image[0].numpy()
    return {m: zeroed[m] for m in images}


def clipped_noise(
    image: np.ndarray, modality: Modality, level: str, rng: np.random.Generator
) -> np.ndarray:
    """A modality image float32 (3, H, W) with noise that stays in a sensor's range.

    Gaussian noise of sigma .1, .2, .5 of the range 0..1 (not on events), clipped to the range,
    then salt and pepper of density .05, .1, .2, the same pixel in all channels. RGB is noisy
    before its ImageNet normalisation: sigma .44, .88, 2.2 and pixels of -2 to 2.6 after it.
    """
    plain = image * RGB_STD + RGB_MEAN if modality is Modality.RGB else image.copy()
    if modality is not Modality.EVENT:
        plain += rng.standard_normal(plain.shape, dtype=np.float32) * np.float32(GAUSSIAN[level])
    np.clip(plain, 0.0, 1.0, out=plain)
    draw = rng.random(plain.shape[1:], dtype=np.float32)
    density = SALT_AND_PEPPER[level]
    plain[:, draw < density / 2] = 0.0
    plain[:, draw > 1.0 - density / 2] = 1.0
    return (plain - RGB_MEAN) / RGB_STD if modality is Modality.RGB else plain


def _batch(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]


def _salted(image: Tensor, density: float, generator: torch.Generator) -> Tensor:
    count = math.ceil(density * image.numel() * 0.5)
    salted = image.clone()
    for value in (image.max(), image.min()):
        places = [torch.randint(0, size, (count,), generator=generator) for size in image.shape]
        salted[tuple(places)] = value
    return salted
