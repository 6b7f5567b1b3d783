"""Networks that are run in one piece: what they get for an image that is not there."""

from __future__ import annotations

import numpy as np
import published_reference as reference
import pytest
import torch
from published_checkpoints import ORDER, assert_close, images, opened, saved

from any2seg_ros.engine.whole_engine import WholeEngine
from any2seg_ros.evaluation.evaluator import EvaluationConfig, Evaluator
from any2seg_ros.types import Modality


@torch.no_grad()
def test_an_absent_modality_of_a_whole_network_is_an_image_of_zeros(tmp_path):
    weights = reference.layout_cmnext()
    segmenter = opened(saved(tmp_path, weights))
    given = images()
    alone = {Modality.LIDAR: given[Modality.LIDAR]}
    found, shares = segmenter.logits(segmenter.encode(alone))
    blank = {m: torch.from_numpy(given[m] * (m == Modality.LIDAR)) for m in ORDER}
    assert_close(found, reference.logits_cmnext(weights, [blank[m] for m in ORDER]))
    assert shares.tolist() == [1]
    with pytest.raises(ValueError, match="cannot leave a sensor out: use --protocol zero"):
        Evaluator(segmenter, EvaluationConfig("drop"))


class Sums:
    """Takes RGB and LiDAR: logits are the sums of their images, and what is present."""

    modalities = (Modality.LIDAR, Modality.RGB)
    leaves_out = False
    backbone = "none"

    def whole(self, batch: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        return torch.cat((batch.sum((2, 3, 4)), present.float()), 1)[..., None, None]


@pytest.fixture
def engine() -> WholeEngine:
    return WholeEngine(Sums(), "cpu", 1)


def features(engine: WholeEngine, **values: float) -> tuple[list, list[Modality]]:
    """Constant images of modalities, encoded, and whose they are."""
    modalities = [Modality.parse(name) for name in values]
    given = [np.full((3, 1, 1), value / 3, np.float32) for value in values.values()]
    return engine.encode(given, modalities), modalities


def test_images_come_in_the_network_s_order_with_zeros_for_those_that_are_absent(engine):
    (logits,), weights = engine.segment(*features(engine, rgb=6.0, lidar=9.0))
    assert logits.ravel().tolist() == [9, 6, 1, 1]
    (logits,), _ = engine.segment(*features(engine, rgb=6.0))
    assert logits.ravel().tolist() == [0, 6, 0, 1]
    assert weights.tolist() == [[0.5, 0.5]]


def test_every_choice_runs_the_network_for_itself(engine):
    encoded, modalities = features(engine, rgb=6.0, lidar=9.0)
    logits, weights = engine.segment(encoded, modalities, ((0,), (0, 1), (1,)))
    assert [one.ravel().tolist()[:2] for one in logits] == [[0, 6], [9, 6], [9, 0]]
    assert weights.tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


def test_what_the_network_does_not_take_is_left_out_and_alone_is_refused(engine):
    (logits,), weights = engine.segment(*features(engine, depth=1.0, lidar=9.0))
    assert logits.ravel().tolist() == [9, 0, 1, 0] and weights.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=r"it takes lidar\+rgb"):
        engine.segment(*features(engine, depth=1.0, event=2.0))


def test_what_it_takes_of_the_sensors_there_are_is_prepared_as_one_subset(engine):
    assert engine.subsets_to_prepare(tuple(Modality)) == [(Modality.RGB, Modality.LIDAR)]
    assert engine.subsets_to_prepare((Modality.DEPTH, Modality.LIDAR)) == [(Modality.LIDAR,)]
    assert engine.subsets_to_prepare((Modality.DEPTH,)) == []
