"""Networks that cannot be cut in two, run as any other."""

from __future__ import annotations

import published_reference as reference
import pytest
import torch
from published_checkpoints import ORDER, assert_close, images, opened, saved

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
