"""CMNeXt from its checkpoint: the logits of its definition, to 1e-5."""

from __future__ import annotations

import published_reference as reference
import pytest
import torch
from published_checkpoints import ORDER, assert_close, images, opened, saved

from any2seg_ros.types import Modality


@torch.no_grad()
def test_cmnext_whole_gives_its_logits(tmp_path):
    weights = reference.layout_cmnext()
    segmenter = opened(saved(tmp_path, weights))
    given = images()
    found, _ = segmenter.logits(segmenter.encode(given))
    assert_close(
        found, reference.logits_cmnext(weights, [torch.from_numpy(given[m]) for m in ORDER])
    )


@torch.no_grad()
def test_cmnext_with_one_other_modality_takes_the_one_its_file_names(tmp_path):
    weights = reference.layout_cmnext(others=1)
    segmenter = opened(saved(tmp_path, weights, "cmnext_b2_deliver_rgbl.pth"))
    assert segmenter.modalities == (Modality.RGB, Modality.LIDAR)
    given = images()
    pair = [torch.from_numpy(given[m]) for m in (Modality.RGB, Modality.LIDAR)]
    found, shares = segmenter.logits(segmenter.encode(given))
    assert_close(found, reference.logits_cmnext(weights, pair))
    assert shares.tolist() == [0.5, 0, 0.5, 0]
    with pytest.raises(ValueError, match=r"takes 2 modalities, .*rename it .*_rgbd\.pth"):
        opened(saved(tmp_path, weights))
