"""The Segmenter and its engines, on a small untrained network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, NonFiniteOutput, Segmenter
from any2seg_ros.engine.gate import Gate
from any2seg_ros.network.checkpoints import save
from any2seg_ros.types import Modality, all_subsets

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
CUDA = pytest.param("cuda", marks=NEEDS_CUDA)


@pytest.fixture(scope="module", params=["cpu", CUDA])
def segmenter(request, model):
    return Segmenter.open(EngineConfig(model, "torch", request.param, precision="f32"))


def test_any_subset_gives_masks_of_the_size_asked_for(segmenter, images):
    maps = segmenter.encode(images)
    for subset in all_subsets():
        result = segmenter.fuse({m: maps[m] for m in subset}, (130, 70))
        assert result.subset == subset
        assert result.labels.shape == (70, 130) and result.labels.dtype == np.uint8
        assert result.labels.max() < 25
        assert result.confidence.dtype == np.float32
        assert 1 / 25 - 1e-4 <= result.confidence.min() <= result.confidence.max() <= 1 + 1e-6
        assert sum(result.weights.values()) == pytest.approx(1, abs=1e-5)


def test_split_and_whole_give_the_same(segmenter, images):
    maps = segmenter.encode(images)
    chosen = (Modality.DEPTH, Modality.EVENT)
    split = segmenter.fuse({m: maps[m] for m in chosen})
    whole = segmenter.segment({m: images[m] for m in chosen})
    cuda = "cuda" in segmenter.description  # tf32, and other kernels for other batches
    assert (split.labels == whole.labels).mean() > (0.99 if cuda else 0.999)
    np.testing.assert_allclose(split.confidence, whole.confidence, atol=1e-3)


def test_features_of_two_encodings_may_be_mixed(segmenter, images):
    maps = segmenter.encode(images)
    other = segmenter.encode({m: 0.5 * image for m, image in images.items()})
    given = [{m: (maps if m in s else other)[m] for m in Modality} for s in all_subsets()]
    for one, result in zip(given, segmenter.fuse_all(given), strict=True):
        alone = segmenter.fuse(one)
        assert (result.labels == alone.labels).mean() > 0.999
        assert result.weights == pytest.approx(alone.weights, abs=1e-5)


def test_a_subsets_temperature_softens_its_confidence_and_leaves_the_labels(segmenter, images):
    chosen = {Modality.RGB: images[Modality.RGB]}
    warm = segmenter.segment(chosen)
    metadata = dataclasses.replace(segmenter.metadata, temperatures={})
    cold = Segmenter(segmenter._engine, metadata).segment(chosen)
    assert np.array_equal(warm.labels, cold.labels)
    assert warm.confidence.mean() < cold.confidence.mean()


def test_no_image_and_a_wrong_size_are_refused_with_the_size_wanted(segmenter, images):
    with pytest.raises(ValueError, match="at least one"):
        segmenter.segment({})
    with pytest.raises(ValueError, match=r"rgb image is .*need \(3, 64, 96\)"):
        segmenter.segment({Modality.RGB: np.zeros((3, 10, 10), np.float32)})


def test_the_description_names_model_size_and_engine(segmenter):
    assert "net.safetensors" in segmenter.description
    assert "96x64" in segmenter.description and "torch" in segmenter.description


@pytest.fixture(scope="module")
def broken(model, tmp_path_factory):
    """The same network, with weights that give NaN."""
    from any2seg_ros.network.checkpoints import load

    network, metadata = load(model)
    with torch.no_grad():
        network.decoder.classifier.weight[3] = torch.nan
    path = tmp_path_factory.mktemp("broken") / "net.safetensors"
    save(path, network, metadata)
    return path


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_weights_that_are_not_finite_are_refused(broken, name):
    with pytest.raises(ValueError, match=r"NaN or infinity \(first in decoder.classifier.weight\)"):
        Segmenter.open(EngineConfig(str(broken), name, "cpu"))


def test_a_network_that_gives_nan_is_found_before_the_first_frame(segmenter, monkeypatch):
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    real = segmenter._engine.segment

    def overflown(*arguments):
        logits, weights = real(*arguments)
        return [one * np.nan for one in logits], weights

    monkeypatch.setattr(segmenter._engine, "segment", overflown)
    with pytest.raises(NonFiniteOutput, match="precision f32"):
        fresh.prepare()


def test_what_the_gate_leaves_out_of_the_trial_is_prepared_all_the_same(segmenter, monkeypatch):
    """Else the first frame that it believes would wait for a graph."""
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    fresh._gate = Gate(weights={m: np.zeros(1) for m in Modality})
    monkeypatch.setattr(Gate, "believed", lambda gate, statistics: (min(statistics),))
    fused, real = set(), segmenter._engine.segment

    def segment(features, modalities, choices):
        fused.update(tuple(modalities[i] for i in chosen) for chosen in choices)
        return real(features, modalities, choices)

    monkeypatch.setattr(segmenter._engine, "segment", segment)
    fresh.prepare()
    assert fused == set(segmenter._engine.subsets_to_prepare(Modality))


def test_what_the_gate_leaves_is_fused_without_ever_more_graphs(segmenter, images, monkeypatch):
    """Each list of several choices is a graph of its own, and stays."""
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    fresh._gate = Gate(weights={m: np.zeros(1) for m in Modality})
    maps, worn = (segmenter.encode({m: k * images[m] for m in images}) for k in (1.0, 0.5))
    given = [{m: maps[m] for m in subset} for subset in all_subsets()]
    mixed = [{m: (maps if m in subset else worn)[m] for m in Modality} for subset in all_subsets()]
    lists, real = set(), segmenter._engine.segment

    def segment(features, modalities, choices):
        lists.add((len(features), choices))
        return real(features, modalities, choices)

    monkeypatch.setattr(segmenter._engine, "segment", segment)
    for doubted in Modality:
        monkeypatch.setattr(
            Gate, "believed", lambda gate, seen, no=doubted: tuple(set(seen) - {no} or seen)
        )
        for asked in (given, mixed):
            for one, result in zip(asked, fresh.fuse_all(asked), strict=True):
                kept = {m: f for m, f in one.items() if m != doubted} or one
                alone = segmenter.fuse(kept)
                assert result.subset == tuple(sorted(kept))
                assert (result.labels == alone.labels).mean() > 0.999
    assert sum(len(choices) > 1 for _, choices in lists) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_mask_is_made_of_one_number_that_is_not_finite(segmenter, images, value, monkeypatch):
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    real = segmenter._engine.segment
    frames = 0

    def spoilt(*arguments):
        nonlocal frames
        logits, weights = real(*arguments)
        logits = [np.array(one) for one in logits]
        if frames % 3 == 2:
            logits[0][-1, -1, -1] = value
        frames += 1
        return logits, weights

    monkeypatch.setattr(segmenter._engine, "segment", spoilt)
    for number in range(12):
        if number % 3 == 2:
            with pytest.raises(NonFiniteOutput):
                fresh.segment(images)
        else:
            assert np.isfinite(fresh.segment(images).confidence).all()


def test_weights_of_sensors_that_are_not_finite_are_no_mask_either(segmenter, images, monkeypatch):
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    real = segmenter._engine.segment

    def spoilt(*arguments):
        logits, weights = real(*arguments)
        return logits, weights * np.nan

    monkeypatch.setattr(segmenter._engine, "segment", spoilt)
    with pytest.raises(NonFiniteOutput):
        fresh.segment(images)


def test_nan_is_found_while_it_runs_and_told_until_it_is_over(segmenter, images):
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    bad = {m: np.full_like(image, np.nan) for m, image in images.items()}
    fresh.segment(images)
    assert fresh.output_fault == ""
    with pytest.raises(NonFiniteOutput):
        fresh.segment(bad)
    assert "rgb+depth+lidar+event" in fresh.output_fault
    with pytest.raises(NonFiniteOutput):  # each one, as long as it lasts
        fresh.segment(bad)
    fresh.segment(images)
    assert fresh.output_fault == ""
