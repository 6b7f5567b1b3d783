"""Which weights may replace others, and which of several is best."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from adaptation_data import Place

from any2seg_ros.adaptation.config import Margins
from any2seg_ros.adaptation.judging import Judgement, gain, judge, losses, reasons_against
from any2seg_ros.datasets import Target, open_source
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.training.cached_dataset import open_cached, relabelled
from any2seg_ros.training.validation import validate

SUBSETS = ("rgb", "lidar", "rgb+lidar")
BEFORE = Judgement(
    "rgb+lidar",
    sure_accuracy=dict(zip(SUBSETS, (90.0, 40.0, 92.0), strict=True)),
    sure_miou=dict(zip(SUBSETS, (80.0, 20.0, 85.0), strict=True)),
    agreement={"rgb+lidar": 45.0},
    confidence=dict(zip(SUBSETS, (70.0, 60.0, 75.0), strict=True)),
    streets={"rgb+depth+lidar+event": 60.0, "rgb": 40.0, "lidar": 30.0},
)


def changed(**tables: dict[str, float]) -> Judgement:
    """Better than before: LiDAR has learned; with these rows of tables changed."""
    better = {"sure_accuracy": {"lidar": 50.0}, "agreement": {"rgb+lidar": 55.0}}
    every = {
        name: {**getattr(BEFORE, name), **better.get(name, {}), **tables.get(name, {})}
        for name in better.keys() | tables.keys()
    }
    return replace(BEFORE, **every)


def test_weights_that_gain_and_lose_nothing_may_replace_others():
    assert reasons_against(BEFORE, changed(), Margins()) == []
    assert BEFORE.best == "rgb" and BEFORE.pupils == ["lidar"]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"streets": {"rgb+depth+lidar+event": 59.4}}, "all sensors on Streets val"),
        ({"streets": {"rgb": 37.0}}, "each sensor alone on Streets val"),
        ({"sure_accuracy": {"rgb": 60.0}}, "rgb and rgb\\+lidar on what was sure"),
        ({"confidence": {"rgb+lidar": 60.0}}, "confidence of rgb\\+lidar"),
        ({"agreement": {"rgb+lidar": 44.0}}, "agreement between sensors"),
        ({"sure_accuracy": {"lidar": 40.3}}, "lidar alone on what was sure"),
    ],
)
def test_each_loss_is_a_reason(tables, said):
    reasons = reasons_against(BEFORE, changed(**tables), Margins())
    assert len(reasons) == 1
    assert re.match(said, reasons[0])


def test_too_small_a_gain_is_no_loss():
    assert losses(BEFORE, changed(sure_accuracy={"lidar": 40.3}), Margins()) == []


def test_small_losses_are_no_reason():
    tables = {"streets": {"rgb+depth+lidar+event": 59.6}, "sure_accuracy": {"rgb": 82.0}}
    assert reasons_against(BEFORE, changed(**tables), Margins()) == []


def test_the_camera_that_taught_may_move_on():
    """Its agreement with what it said before says nothing of how good it is."""
    assert (
        reasons_against(BEFORE, changed(sure_accuracy={"rgb": 83.0, "lidar": 50.0}), Margins())
        == []
    )


def test_rare_classes_of_what_was_sure_neither_refuse_nor_choose():
    """A class that the teacher saw in a few pixels moves the mIoU by points."""
    fewer = changed(sure_miou={"lidar": 15.0})
    assert reasons_against(BEFORE, fewer, Margins()) == []
    assert gain(BEFORE, fewer) == gain(BEFORE, changed())


def test_the_best_is_who_taught_the_others_most():
    less = changed(sure_accuracy={"lidar": 45.0})
    assert gain(BEFORE, changed()) > gain(BEFORE, less) > gain(BEFORE, BEFORE) == 0


@pytest.mark.parametrize(
    "tables",
    [
        {"streets": {"rgb": float("nan")}},
        {"confidence": {"rgb+lidar": float("nan")}},
        {"sure_accuracy": {"lidar": float("nan")}},
        {"agreement": {"rgb+lidar": float("nan")}},
    ],
)
def test_what_is_unknown_is_a_reason(tables):
    (reason,) = reasons_against(BEFORE, changed(**tables), Margins())
    assert reason.endswith("to nan")


def test_judged_is_what_the_network_sees_of_the_labels(drive: Place):
    """Labels that are the network's own masks: it sees all of them, each sensor some."""
    segmenter = Segmenter.open(EngineConfig(str(drive.weights), "torch", "cpu", threads=1))
    target = Target.of(segmenter)
    source = open_source(drive.streets, target, "val")
    streets = open_cached(source, "judged", target, drive.root / "judged_cache")

    def masks():
        for images, present in zip(streets.images, streets.present, strict=True):
            from any2seg_ros.types import Modality

            given = {m: images[m].astype(np.float32) for m in Modality if present[m]}
            found = segmenter.segment(given, streets.labels.shape[:0:-1])
            yield found.labels, np.full_like(found.labels, 255)

    own = relabelled(
        streets, drive.root / "own", [[k] for k in range(25)], streets.present, masks()
    )
    found = judge(segmenter, own, validate(segmenter, streets))
    assert found.full == "rgb+depth+lidar+event" and found.frames == len(streets)
    assert found.sure_accuracy[found.full] == 100 and found.sure_miou[found.full] == 100
    assert all(0 < found.sure_accuracy[name] < 100 for name in found.alone)
    assert len(found.agreement) == 6 and all(0 < a < 100 for a in found.agreement.values())
    assert set(found.streets) == {*found.alone, found.full}
