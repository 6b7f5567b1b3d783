"""Reports of a small evaluation, for tests of what is made of them."""

from __future__ import annotations

import numpy as np

from any2seg_ros.evaluation.summary import Context, summarize
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Segmentation, all_subsets


def small_tally() -> Tally:
    """Three frames whose masks get better with every sensor."""
    rng = np.random.default_rng(0)
    tally = Tally(25)
    for index in range(3):
        label = rng.integers(0, 20, (24, 32)).astype(np.uint8)
        found = {}
        for subset in all_subsets():
            right = rng.random(label.shape) < 0.2 * len(subset)
            labels = np.where(right, label, rng.integers(0, 25, label.shape)).astype(np.uint8)
            confidence = np.full(label.shape, 0.2 * len(subset), np.float32)
            found[subset] = Segmentation(labels, confidence, dict.fromkeys(subset, 0.5))
        tally.add(label, found, ["fog"] if index else ["night"])
    tally.left_out["no <label>"] = 2
    return tally


def report(tally: Tally, **rest) -> dict:
    options = {"protocol": "drop", "notes": ["topic lidar/points is missing"], **rest}
    options |= {"backbone": "mit_b0", "image_size": (1024, 1024)}
    return summarize(tally, Context("net", "data", "val", taxonomy=DELIVER, **options))
