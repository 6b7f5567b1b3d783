"""The Segmenter and its engines, on a small untrained network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, NonFiniteOutput, Segmenter
from any2seg_ros.engine.segmenter import CHECK_EVERY
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save
from any2seg_ros.network.pretrained import load_encoder
from any2seg_ros.types import Modality, all_subsets

SIZE = (96, 64)


@pytest.fixture(scope="module", params=["one encoder", "own encoders"])
def model(request, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "net.safetensors"
    own = request.param == "own encoders"
    network = Any2Seg(NetworkConfig(width=32, shared_encoder=not own, adapters=own))
    load_encoder(network, "imagenet")
    if network.adapters:
        for matrices in network.adapters.matrices:
            torch.nn.init.normal_(matrices, std=0.05)
        for encoder in network.encoders:
            torch.nn.init.normal_(encoder.stem[1].bias)
    save(path, network, Metadata(size=SIZE, temperatures={"rgb": 4.0}))
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def graphs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("graphs")
        patch.setenv("ANY2SEG_CACHE", str(folder))
        yield folder


NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
CUDA = pytest.param("cuda", marks=NEEDS_CUDA)
ENGINES = (
    ("torch", "cpu"),
    ("openvino", "cpu"),
    ("onnxruntime", "cpu"),
    pytest.param("torch", "cuda", marks=NEEDS_CUDA),
)


@pytest.fixture(scope="module", params=["cpu", CUDA])
def segmenter(request, model):
    return Segmenter.open(EngineConfig(model, "torch", request.param, precision="f32"))


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return {m: generator.standard_normal((3, SIZE[1], SIZE[0])).astype("f4") for m in Modality}


@pytest.mark.parametrize(("name", "device"), ENGINES[1:])
def test_every_engine_agrees_with_torch_to_a_thousandth(name, device, model, images, monkeypatch):
    pytest.importorskip(name)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    segmenter = Segmenter.open(EngineConfig(model, "torch", "cpu", precision="f32"))
    other = Segmenter.open(EngineConfig(model, name, device, precision="f32"))
    for subset in [(1,), (0, 2, 3), (0, 1, 2, 3)]:
        chosen = {Modality(m): images[m] for m in subset}
        expected, expected_weights = segmenter.logits(segmenter.encode(chosen))
        logits, weights = other.logits(other.encode(chosen))
        assert np.abs(logits - expected).max() <= 1e-3 * np.abs(expected).max()
        np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_images_side_by_side_are_what_each_is_alone(threads, model, images):
    pytest.importorskip("openvino")
    config = EngineConfig(model, engine="openvino", device="cpu", precision="f32", threads=threads)
    segmenter = Segmenter.open(config)
    for count in (4, 3, 2):
        together = segmenter.encode({m: images[m] for m in list(Modality)[:count]})
        for modality, maps in together.items():
            alone = segmenter.encode({modality: images[modality]})[modality]
            for mine, reference in zip(maps, alone, strict=True):
                np.testing.assert_allclose(mine, reference, atol=1e-4 * np.abs(reference).max())


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


@pytest.mark.parametrize(("name", "device"), ENGINES)
def test_all_subsets_at_once_are_what_each_is_alone(name, device, model, images):
    pytest.importorskip(name)
    segmenter = Segmenter.open(EngineConfig(model, name, device, precision="f32"))
    maps = segmenter.encode(images)
    given = [{m: maps[m] for m in subset} for subset in all_subsets()]
    for one, result in zip(given, segmenter.fuse_all(given, (130, 70)), strict=True):
        alone = segmenter.fuse(one, (130, 70))
        assert result.subset == alone.subset
        assert result.weights == pytest.approx(alone.weights, abs=1e-5)
        assert (result.labels == alone.labels).mean() > 0.999
        np.testing.assert_allclose(result.confidence, alone.confidence, atol=1e-3)


def test_one_encoder_is_made_once_for_each_number_of_images(model, images):
    engine = Segmenter.open(EngineConfig(model, "torch", "cpu", precision="f32"))._engine
    for subset in all_subsets():
        engine.encode([images[m] for m in subset], subset)
    own = not engine._network.config.shared_encoder
    assert len(engine._graphs) == (15 if own else 4)


def test_features_of_two_encodings_may_be_mixed(segmenter, images):
    maps = segmenter.encode(images)
    other = segmenter.encode({m: 0.5 * image for m, image in images.items()})
    given = [{m: (maps if m in s else other)[m] for m in Modality} for s in all_subsets()]
    for one, result in zip(given, segmenter.fuse_all(given), strict=True):
        alone = segmenter.fuse(one)
        assert (result.labels == alone.labels).mean() > 0.999
        assert result.weights == pytest.approx(alone.weights, abs=1e-5)


@pytest.mark.parametrize(("name", "device"), ENGINES)
def test_results_stay_when_the_next_frame_comes(name, device, model, images):
    pytest.importorskip(name)
    segmenter = Segmenter.open(EngineConfig(model, name, device))
    first = segmenter.encode({Modality.RGB: images[Modality.RGB]})
    kept = [torch.as_tensor(m).clone() for m in first[Modality.RGB]]
    segmenter.encode({Modality.RGB: images[Modality.EVENT]})
    for before, after in zip(kept, first[Modality.RGB], strict=True):
        assert torch.equal(before, torch.as_tensor(after))


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


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"engine": "torch", "precision": "bf17"}, "no precision 'bf17': use one of auto, f32"),
        ({"engine": "openvino", "precision": "bf17"}, "no precision 'bf17'"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "no precision 'bf16'"),
        ({"engine": "torch", "device": "gpu"}, "torch has no device 'gpu' here: use auto or cpu"),
        ({"engine": "torch", "device": "cuda:99"}, "torch has no device 'cuda:99'"),
        ({"engine": "openvino", "device": "cuda"}, "OpenVINO has no device 'cuda' here: use auto"),
        ({"engine": "onnxruntime", "device": "cuda"}, "does not run on 'cuda'"),
        ({"engine": "torch", "threads": -1}, "threads must be 0"),
    ],
)
def test_what_an_engine_cannot_do_is_said_when_it_is_opened(values, words, model):
    if values["engine"] != "torch":
        pytest.importorskip(values["engine"])
    with pytest.raises(ValueError, match=words):
        Segmenter.open(EngineConfig(str(model), **values))


def test_an_unknown_engine_names_those_that_exist(model):
    with pytest.raises(ValueError, match="torch, openvino, onnxruntime"):
        Segmenter.open(EngineConfig(model, engine="tensorrt"))


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


def test_nan_is_found_while_it_runs_and_told_until_it_is_over(segmenter, images):
    fresh = Segmenter(segmenter._engine, segmenter.metadata)
    bad = {m: np.full_like(image, np.nan) for m, image in images.items()}
    fresh.segment(images)
    assert fresh.output_fault == ""
    with pytest.raises(NonFiniteOutput):
        for _ in range(CHECK_EVERY):
            fresh.segment(bad)
    assert "rgb+depth+lidar+event" in fresh.output_fault
    with pytest.raises(NonFiniteOutput):  # each one, as long as it lasts
        fresh.segment(bad)
    fresh.segment(images)
    assert fresh.output_fault == ""
