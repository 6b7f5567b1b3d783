"""Keys of published checkpoints: all are used, and what is wrong is said."""

from __future__ import annotations

import published_reference as reference
import pytest
import torch
from published_checkpoints import saved

from any2seg_ros.network import published


@pytest.mark.parametrize(
    ("make", "key", "words"),
    [
        (reference.layout_mean, "encoder.head.weight", "1 keys are not used, such as encoder.head"),
        (reference.layout_mean, "extra.weight", "1 keys are not used, such as extra.weight"),
        (reference.layout_cmnext, "backbone.cls_head.weight", "1 keys are not used"),
        (reference.layout_stitchfusion, "auxiliary.0.weight", "1 keys are not used"),
    ],
)
def test_a_key_that_is_not_used_is_an_error(tmp_path, make, key, words):
    weights = {**make(), key: torch.zeros(2)}
    with pytest.raises(ValueError, match=rf"net\.pth: {words}"):
        published.load(saved(tmp_path, weights))


def test_what_is_missing_or_of_another_network_is_said(tmp_path):
    weights = reference.layout_mean()
    del weights["encoder.norm2.bias"]
    with pytest.raises(ValueError, match="1 keys are missing, such as encoder.stages.1.norm.bias"):
        published.load(saved(tmp_path, weights))
    with pytest.raises(ValueError, match="images of 12 channels.*give the student's weights"):
        published.load(saved(tmp_path, reference.layout_mean(first=12)))
    with pytest.raises(ValueError, match="of no network that is known .*first is a.weight"):
        published.load(saved(tmp_path, {"a.weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match="has 7 classes"):
        published.load(saved(tmp_path, reference.layout_mean(64, classes=7)))
