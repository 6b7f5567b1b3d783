"""Masks judged by 3-D boxes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np

from any2seg_ros.bench.boxes import PointScores, score_boxes, within
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.cached_dataset import Cloud
from any2seg_ros.types import Camera

AHEAD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def box(category: str, center: tuple, turned: float = 0.0) -> dict:
    c, s = np.cos(turned), np.sin(turned)
    rotation = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    return {"category": category, "center": center, "size_lwh": (4, 2, 2), "rotation": rotation}


def test_points_are_in_a_box_as_it_is_turned():
    points = np.array([[10 + 1.9, 0, 0], [10, 1.9, 0], [10, 0, 1.5]], float)
    assert within(points, [box("vehicle.car", (10, 0, 0))]).tolist() == [True, False, False]
    assert within(points, [box("vehicle.car", (10, 0, 0), np.pi / 2)]).tolist() == [
        False,
        True,
        False,
    ]


def test_recall_and_precision_are_of_points_in_view(tmp_path):
    """Left half seen as car: two of three points on the car are left, one other is, too."""
    car = [(10, 0.9, 0.0), (10, 0.5, 0.0), (10, -0.5, 0.0)]
    others = [(10, 4.0, 0.0), (10, -4.0, 0.0), (-10, 0.0, 0.0)]
    points = np.array([(*xyz, 0.5) for xyz in (*car, *others)], np.float32)
    view = Camera(48, 32, 40.0, 40.0, 24.0, 16.0)
    cloud = Cloud(points, AHEAD, view)
    labels = np.full((64, 96), DELIVER.classes.index("Road"), np.uint8)
    labels[:, :48] = DELIVER.classes.index("Cars")
    cached = SimpleNamespace(
        names=["bag/1000"],
        images=np.zeros((1, 4, 3, 32, 48), np.float16),
        present=np.ones((1, 4), bool),
        frame=lambda index: SimpleNamespace(cloud=cloud),
    )
    segmenter = SimpleNamespace(
        taxonomy=DELIVER, segment=lambda images, size: SimpleNamespace(labels=labels)
    )
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{"stamp_ns": 1000, "boxes": [box("vehicle.car", (10, 0, 0))]}]))
    found = score_boxes(segmenter, cached, [0], path)
    assert found.table()["vehicles"] == {"recall": 66.7, "precision": 66.7, "points": 3}
    assert found.table()["people"]["points"] == 0
    later = [{"stamp_ns": 10**9, "boxes": [box("vehicle.car", (10, 0, 0))]}]
    path.write_text(json.dumps(later))
    assert score_boxes(segmenter, cached, [0], path) == PointScores()
