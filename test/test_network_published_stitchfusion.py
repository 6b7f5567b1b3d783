"""StitchFusion from its checkpoint: the logits of its definition, to 1e-5."""

from __future__ import annotations

import published_reference as reference
import pytest
import torch
from published_checkpoints import ORDER, assert_close, images, opened, saved

from any2seg_ros.types import Modality


@torch.no_grad()
@pytest.mark.parametrize(
    ("links", "mixing"),
    [("both", True), ("each", True), ("shared", True), ("late", False)],
)
def test_stitchfusion_whole_gives_its_logits(tmp_path, links, mixing):
    weights = reference.layout_stitchfusion(links=links, mixing=mixing)
    segmenter = opened(saved(tmp_path, weights))
    given = images()
    found, _ = segmenter.logits(segmenter.encode(given))
    ordered = [torch.from_numpy(given[m]) for m in ORDER]
    assert_close(found, reference.logits_stitchfusion(weights, ordered))


@torch.no_grad()
def test_stitchfusion_of_two_modalities_takes_those_its_file_names(tmp_path):
    weights = reference.layout_stitchfusion(modalities=2)
    segmenter = opened(saved(tmp_path, weights, "StitchFusion_DELIVER_RGBE.pth"))
    assert segmenter.modalities == (Modality.RGB, Modality.EVENT)
    given = images()
    pair = [torch.from_numpy(given[m]) for m in (Modality.RGB, Modality.EVENT)]
    found, _ = segmenter.logits(segmenter.encode(given))
    assert_close(found, reference.logits_stitchfusion(weights, pair))
