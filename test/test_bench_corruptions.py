"""What a corrupted sensor costs beside the others."""

from __future__ import annotations

import pytest
import tiny_network
import training_data

from any2seg_ros.bench import corruptions
from any2seg_ros.evaluation.corruptions import CORRUPTIONS
from any2seg_ros.types import Modality


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("deliver")
    training_data.write(root, "val", 3, raw=True)
    segmenter = tiny_network.segmenter(tmp_path_factory.mktemp("model"))
    return corruptions.run(segmenter, root, "val", frames=2)


def test_every_corruption_that_is_not_refused_is_counted_on_the_frames_asked_for(rows):
    every = {f"{m.label}:{name}" for m in Modality for name in CORRUPTIONS[m]}
    assert set(rows) <= every and {"rgb:night", "lidar:sparse", "event:noise"} <= set(rows)
    assert all(row["frames"] == 2 for row in rows.values())
    assert all(row["left_out"] == 0 for row in rows.values())  # no gate was fitted


def test_the_figure_without_a_sensor_does_not_depend_on_how_it_was_corrupted(rows):
    without = {row["miou_without"] for name, row in rows.items() if name.startswith("rgb:")}
    assert len(without) == 1
    assert len({row["miou"] for name, row in rows.items() if name.startswith("rgb:")}) > 1


def test_the_costliest_comes_first():
    row = {"miou": 50.0, "miou_without": 50.0, "difference": 0.0, "frames": 2, "left_out": 1}
    told = corruptions.table({"rgb:fog": row, "lidar:noise": {**row, "difference": -1.5}})
    assert told.splitlines()[2:] == [
        "| lidar:noise | 50.00 | 50.00 | -1.50 | 1 of 2 |",
        "| rgb:fog | 50.00 | 50.00 | +0.00 | 1 of 2 |",
    ]
