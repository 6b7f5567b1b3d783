"""Drives that nothing can be learned from, told before any time is spent on them."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from any2seg_ros.adaptation.drive import Drive, with_labels
from any2seg_ros.adaptation.teaching import LEVELS, Lessons
from any2seg_ros.datasets.ground_truth import TOLERANCE
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.training.validation import evenly_spread
from any2seg_ros.types import NOT_HEARD, Modality

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
    for modality in (Modality.RGB, Modality.LIDAR):
        share = _unusable(cached, modality)
        if share > 1 - USABLE:
            raise ValueError(
                f"{modality.label} is unusable in {100 * share:.0f} % of the frames "
                f"({_commonest(cached.reasons, modality)}): mend it, or take another drive"
            )
    if labelled and not with_labels(cached, learned):
        raise ValueError(
            f"no pixel of the {len(learned)} frames to learn from has a label: name the images of "
            f"--labels <stamp in ns>.png, by the camera's stamps ({TOLERANCE * 1e-6:.0f} ms more "
            "or less), and lower --sure if all are less sure"
        )
    together = float((cached.present[learned].sum(1) > 1).mean())
    if together < USABLE and not labelled:
        said = f". Of the bags: {'; '.join(drive.notes)}" if drive.notes else ""
        raise ValueError(
            f"only {100 * together:.0f} % of the frames have two sensors: one alone has nobody to "
            f"learn from; give labels of another network (--labels){said}"
        )
    still = stillness(cached, learned)
    if still > STILL:
        raise ValueError(
            f"the vehicle is parked: frames far apart in time show the same (correlation "
            f"{still:.2f}); take a drive that moves"
        )


def _unusable(cached: CachedDataset, modality: Modality) -> float:
    """Share of the frames without a sensor, of those in which it was not merely not there yet, as
    in a bag that does not have it."""
    own = _reasons(cached.reasons, modality)
    heard = len(cached) - sum(n for why, n in own.items() if why.startswith(NOT_HEARD))
    return 1 - int(cached.present[:, modality].sum()) / heard if heard else 0.0


def _reasons(reasons: Mapping[str, int], modality: Modality) -> dict[str, int]:
    """What was said of a sensor, and how often."""
    told = ((why.partition(": "), n) for why, n in reasons.items())
    return {why: n for (name, _, why), n in told if name == modality.label}


def _commonest(reasons: Mapping[str, int], modality: Modality) -> str:
    own = {
        why: n for why, n in _reasons(reasons, modality).items() if not why.startswith(NOT_HEARD)
    }
    return max(own, key=lambda why: own[why], default="no measurement")


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


def refuse_doubtful(lessons: Lessons, least: np.ndarray, labelled: bool) -> None:
    """ValueError, with the reason, where the teacher makes next to nothing of the drive, and
    nobody else has labelled it.

    least (K,): thresholds of sureness.
    """
    counts = lessons.counts
    sure = counts * (np.arange(LEVELS)[None] >= least[:, None])
    share = sure.sum() / max(counts.sum(), 1)
    if share < SURE and not labelled:
        raise ValueError(
            f"the network is sure of {100 * share:.0f} % of the pixels: this is noise, or nothing "
            "that it knows; begin with other weights (--model), or give labels (--labels)"
        )
