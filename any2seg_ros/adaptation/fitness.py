"""Drives that nothing can be learned from, told before any time is spent on them."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from any2seg_ros.adaptation.drive import Drive
from any2seg_ros.adaptation.teaching import LEVELS, Lessons
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.training.validation import evenly_spread
from any2seg_ros.types import Modality

FEWEST = 12
"""Frames to learn from, at least."""
USABLE = 0.5
"""Share of the frames in which a sensor of the bag must be usable, and two at once."""
STILL = 0.6
"""Correlation of details between frames far apart in time, above which the vehicle is parked."""
VIEW = (64, 36)
SURE = 0.05
"""Share of the pixels that must be taught."""


def refuse_unfit(drive: Drive, labelled: bool) -> None:
    """ValueError, with the reason, for a drive that is too short, parked or without sensors."""
    cached, learned = drive.cached, drive.learned
    if len(learned) < FEWEST or not len(drive.held):
        raise ValueError(
            f"{len(learned)} frames to learn from are too few (at least {FEWEST}, besides the last "
            "third, which is held back): record a longer drive"
        )
    present = cached.present[learned]
    for modality in (Modality.RGB, Modality.LIDAR):
        share = float(present[:, modality].mean())
        why = [reason for reason in cached.reasons if reason.startswith(f"{modality.label}:")]
        if share < USABLE and why and not _absent(why):
            raise ValueError(
                f"{modality.label} is unusable in {100 * (1 - share):.0f} % of the frames "
                f"({_commonest(cached.reasons, modality)}): mend it, or take another drive"
            )
    together = float((present.sum(1) > 1).mean())
    if together < USABLE and not labelled:
        raise ValueError(
            f"only {100 * together:.0f} % of the frames have two sensors: one alone has nobody to "
            "learn from; give labels of another network (--labels)"
        )
    still = stillness(cached, learned)
    if still > STILL:
        raise ValueError(
            f"the vehicle is parked: frames far apart in time show the same (correlation "
            f"{still:.2f}); take a drive that moves"
        )


def _absent(reasons: list[str]) -> bool:
    """Whether the sensor is simply not in the bag."""
    return all("nothing heard" in reason for reason in reasons)


def _commonest(reasons: Mapping[str, int], modality: Modality) -> str:
    own = {why: n for why, n in reasons.items() if why.startswith(f"{modality.label}: ")}
    return max(own, key=lambda why: own[why]).partition(": ")[2]


def stillness(cached: CachedDataset, frames: np.ndarray) -> float:
    """Median correlation of details between frames a third of the time apart; 1 for the same."""
    apart = max(len(frames) // 3, 1)
    firsts = evenly_spread(len(frames) - apart, 24)
    values = []
    for modality in (Modality.RGB, Modality.LIDAR, Modality.DEPTH):
        pairs = [(frames[i], frames[i + apart]) for i in firsts]
        pairs = [(a, b) for a, b in pairs if cached.present[[a, b], modality].all()]
        if pairs:
            details = [
                (_detail(cached, a, modality), _detail(cached, b, modality)) for a, b in pairs
            ]
            values = [float((a * b).mean()) for a, b in details]
            break
    return float(np.median(values)) if values else 0.0


def _detail(cached: CachedDataset, index: int, modality: Modality) -> np.ndarray:
    """What is finer than a tenth of the picture, of mean 0 and spread 1."""
    plane = np.asarray(cached.images[index][modality], np.float32).mean(0)
    small = cv2.resize(plane, VIEW, interpolation=cv2.INTER_AREA)
    fine = small - cv2.GaussianBlur(small, (0, 0), 4)
    return (fine - fine.mean()) / (fine.std() + 1e-6)


def refuse_doubtful(lessons: Lessons, least: np.ndarray) -> None:
    """ValueError, with the reason, where the teacher makes next to nothing of the drive.

    least (K,): thresholds of sureness.
    """
    counts = lessons.counts
    sure = counts * (np.arange(LEVELS)[None] >= least[:, None])
    share = sure.sum() / max(counts.sum(), 1)
    if share < SURE:
        raise ValueError(
            f"the network is sure of {100 * share:.0f} % of the pixels: this is noise, or nothing "
            "that it knows; begin with other weights (--model), or give labels (--labels)"
        )
