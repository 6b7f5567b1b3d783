"""Masks judged by 3-D boxes: which points of a cloud are on vehicles and people.

A file of boxes is a list of key frames: `stamp_ns` of the cloud, `images` with the cameras' stamps,
and `boxes` with `category` (as nuScenes names them), `center` (m), `size_lwh` (m) and `rotation`
(3 x 3, box to LiDAR), in the LiDAR's frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.engine import Segmenter
from any2seg_ros.preprocessing.camera_models import project
from any2seg_ros.training.cached_dataset import LABEL_SIZE, CachedDataset, Cloud
from any2seg_ros.types import Modality

KINDS = {
    "vehicles": ("vehicle.", ("Cars", "Bus", "Truck", "TwoWheeler")),
    "people": ("human.", ("Pedestrian",)),
}
"""By name: how categories begin, and the classes that are right."""
TOLERANCE = 60_000_000
"""Largest difference (ns) between a frame's stamp and a key frame's."""
MARGIN = 0.1
"""m by which boxes are enlarged: points lie on their faces."""


@dataclass
class PointScores:
    """Points by kind: on such objects and seen as such, seen as such, on such objects."""

    both: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    seen: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    real: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def table(self) -> dict[str, dict[str, float]]:
        """Recall and precision in percent, and the number of points."""
        return {
            kind: {
                "recall": round(100 * self.both[kind] / max(self.real[kind], 1), 1),
                "precision": round(100 * self.both[kind] / max(self.seen[kind], 1), 1),
                "points": self.real[kind],
            }
            for kind in KINDS
        }


def score_boxes(
    segmenter: Segmenter, cached: CachedDataset, frames: list[int], path: Path
) -> PointScores:
    """What the LiDAR alone sees in frames whose names end with their stamps."""
    key_frames = json.loads(path.read_text())
    scores = PointScores()
    for index in frames:
        stamp = int(cached.names[index].rpartition("/")[2])
        key = min(key_frames, key=lambda one: abs(one["stamp_ns"] - stamp))
        cloud = cached.frame(index).cloud
        near = abs(key["stamp_ns"] - stamp) <= TOLERANCE
        if near and cloud is not None and cached.present[index, Modality.LIDAR]:
            _add(scores, segmenter, cached, index, cloud, key["boxes"])
    return scores


def _add(
    scores: PointScores,
    segmenter: Segmenter,
    cached: CachedDataset,
    index: int,
    cloud: Cloud,
    boxes: list[Mapping[str, Any]],
) -> None:
    height, width = (LABEL_SIZE * length for length in cached.images.shape[-2:])
    image = cached.images[index][Modality.LIDAR].astype(np.float32)
    labels = segmenter.segment({Modality.LIDAR: image}, (width, height)).labels
    points = cloud.points[:, :3].astype(np.float64)
    seen = (points @ cloud.pose[:3, :3].T + cloud.pose[:3, 3]).astype(np.float32)
    x, y, z = np.ascontiguousarray(seen.T)
    inside, pixel = project(x, y, z, cloud.view.resized(width, height))
    classes = labels.ravel()[pixel]
    for kind, (begin, names) in KINDS.items():
        own = [box for box in boxes if box["category"].startswith(begin)]
        real = within(points[inside], own)
        right = np.isin(classes, [segmenter.taxonomy.classes.index(name) for name in names])
        scores.both[kind] += int((real & right).sum())
        scores.seen[kind] += int(right.sum())
        scores.real[kind] += int(real.sum())


def within(points: np.ndarray, boxes: list[Mapping[str, Any]]) -> np.ndarray:
    """Which points (n, 3) lie in any of the boxes, bool (n,)."""
    found = np.zeros(len(points), bool)
    for box in boxes:
        own = (points - np.array(box["center"])) @ np.array(box["rotation"])
        found |= (np.abs(own) <= np.array(box["size_lwh"]) / 2 + MARGIN).all(1)
    return found
