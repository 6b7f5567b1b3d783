"""AnySeg and RobustSeg from their checkpoints: the logits of their definition, to 1e-5."""

from __future__ import annotations

import numpy as np
import published_reference as reference
import pytest
import torch
from published_checkpoints import SIZE, assert_close, images, opened, saved

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.network.published.mean_networks import mean_network
from any2seg_ros.types import Modality, all_subsets


@torch.no_grad()
@pytest.mark.parametrize("width", [768, 256])
def test_anyseg_and_robustseg_give_the_mean_s_logits_for_every_subset(tmp_path, width):
    # With a width of 256 the layer that nothing uses has the shape of the last one.
    weights = reference.layout_mean(width)
    for kind in ("weight", "bias"):  # tokens so small that the norms' eps counts
        weights[f"encoder.patch_embed1.norm.{kind}"] *= 0.003
    wrapped = {"state_dict": {f"module.{name}": t for name, t in weights.items()}}
    segmenter = opened(saved(tmp_path, wrapped))
    given = images()
    maps = segmenter.encode(given)
    for subset in all_subsets():
        found, shares = segmenter.logits({m: maps[m] for m in subset})
        expected = reference.logits_mean(weights, [torch.from_numpy(given[m]) for m in subset])
        assert_close(found, expected)
        assert shares == pytest.approx(1 / len(subset))
    assert segmenter.backbone == "mit_b0" and segmenter.taxonomy.name == "deliver"


@torch.no_grad()
@pytest.mark.timeout(600)
def test_a_mean_network_runs_on_the_vehicle_s_engine(tmp_path):
    pytest.importorskip("openvino")
    weights = reference.layout_mean(64)
    width, height = SIZE
    path = saved(tmp_path, weights)
    segmenter = Segmenter.open(EngineConfig(str(path), "openvino", "auto", 1, "f32", width, height))
    given = images()
    pair = (Modality.RGB, Modality.LIDAR)
    found, _ = segmenter.logits(segmenter.encode({m: given[m] for m in pair}))
    expected = reference.logits_mean(weights, [torch.from_numpy(given[m]) for m in pair])
    assert np.abs(found - expected.numpy()).max() <= 1e-3 * float(expected.abs().max())


def test_a_teacher_that_sees_all_modalities_stacked_is_refused():
    with pytest.raises(ValueError, match="images of 12 channels.*give the student's weights"):
        mean_network(reference.layout_mean(first=12))


def test_the_layer_that_nothing_uses_is_the_only_one_that_may_be_left():
    weights = reference.layout_mean(64)
    assert mean_network(weights).config.fusion == "mean"
    with pytest.raises(ValueError, match="1 keys are not used, such as classifier.bias"):
        mean_network({**weights, "classifier.bias": torch.zeros(25)})
