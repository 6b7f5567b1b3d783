"""Inference with torch, on a CPU and, where there is one, on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.engine.masks import masks
from any2seg_ros.engine.torch_engine import _ready, masks_on_device
from any2seg_ros.network import checkpoints
from any2seg_ros.types import Modality, all_subsets

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@NEEDS_CUDA
def test_half_precision_gives_the_labels_of_float32(model, images):
    half, whole = (
        Segmenter.open(EngineConfig(model, "torch", "cuda", precision=p)) for p in ("auto", "f32")
    )
    assert "float16" in half.description and "float32" in whole.description
    for subset in all_subsets():
        chosen = {m: images[m] for m in subset}
        mine, reference = half.segment(chosen), whole.segment(chosen)
        assert (mine.labels == reference.labels).mean() > 0.97
        assert mine.weights == pytest.approx(reference.weights, abs=1e-2)
        assert np.abs(mine.confidence - reference.confidence).mean() < 1e-2


@NEEDS_CUDA
def test_where_no_graph_can_be_recorded_kernels_are_launched_one_by_one(model, images, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    config = EngineConfig(model, "torch", "cuda", precision="f32")
    reference = Segmenter.open(config).segment(images)
    monkeypatch.setattr("any2seg_ros.engine.torch_engine.Recorded", no_memory)
    segmenter = Segmenter.open(config)
    with pytest.warns(UserWarning, match="no CUDA graph.*out of memory"):
        result = segmenter.segment(images)
    assert (result.labels == reference.labels).mean() > 0.99
    assert np.array_equal(segmenter.segment(images).labels, result.labels)


def test_one_encoder_is_made_once_for_each_number_of_images(model, images):
    engine = Segmenter.open(EngineConfig(model, "torch", "cpu", precision="f32"))._engine
    for subset in all_subsets():
        engine.encode([images[m] for m in subset], subset)
    own = not engine._network.config.shared_encoder
    assert len(engine._graphs) == (15 if own else 4)


@torch.no_grad()
def test_norms_are_multiplied_into_the_convolutions_before_them(model, images):
    network = checkpoints.load(model)[0]
    given = torch.from_numpy(images[Modality.RGB])[None]
    expected = network.encoder_of(Modality.RGB)(given)
    ready = _ready(network)
    for mine, reference in zip(ready.encoder_of(Modality.RGB)(given), expected, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in ready.modules())


def test_bfloat16_is_near_float32_and_named(model, images):
    whole, half = (
        Segmenter.open(EngineConfig(model, "torch", "cpu", 1, precision))
        for precision in ("f32", "bf16")
    )
    assert "float32" in whole.description and "bfloat16" in half.description
    chosen = {Modality.RGB: images[Modality.RGB], Modality.LIDAR: images[Modality.LIDAR]}
    expected, _ = whole.logits(whole.encode(chosen))
    found, _ = half.logits(half.encode(chosen))
    assert 0 < np.abs(found - expected).mean() < 0.03 * np.abs(expected).mean()


def test_masks_made_on_the_device_are_those_made_of_arrays():
    logits = torch.randn(5, 9, 16)
    labels, confidence = masks_on_device(logits, (64, 36), 2.0)
    expected, expected_confidence = masks(logits.numpy(), (64, 36), 2.0)
    assert (labels == expected).mean() > 0.999
    np.testing.assert_allclose(confidence, expected_confidence, atol=1e-3)
