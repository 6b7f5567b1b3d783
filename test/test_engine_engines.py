"""All engines behind one interface: the same masks, and what they cannot do is said."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter, engines
from any2seg_ros.engine.engines import make, resolve
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality
SOME = [(RGB,), (EVENT,), (RGB, LIDAR), (DEPTH, LIDAR, EVENT), (RGB, DEPTH, LIDAR, EVENT)]
"""Subsets of each number of modalities, and two of one."""
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
ENGINES = (
    ("torch", "cpu"),
    ("openvino", "cpu"),
    ("onnxruntime", "cpu"),
    pytest.param("torch", "cuda", marks=NEEDS_CUDA),
)


@pytest.mark.parametrize(("name", "device"), ENGINES[1:])
def test_every_engine_agrees_with_torch_to_a_thousandth(name, device, model, images, monkeypatch):
    pytest.importorskip(name)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    segmenter = Segmenter.open(EngineConfig(model, "torch", "cpu", threads=1, precision="f32"))
    other = Segmenter.open(EngineConfig(model, name, device, threads=1, precision="f32"))
    for subset in [(DEPTH,), (RGB, LIDAR, EVENT), tuple(Modality)]:
        chosen = {m: images[m] for m in subset}
        expected, expected_weights = segmenter.logits(segmenter.encode(chosen))
        logits, weights = other.logits(other.encode(chosen))
        assert np.abs(logits - expected).max() <= 1e-3 * np.abs(expected).max()
        np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_images_side_by_side_are_what_each_is_alone(threads, model, images):
    pytest.importorskip("openvino")
    config = EngineConfig(model, engine="openvino", device="cpu", precision="f32", threads=threads)
    segmenter = Segmenter.open(config)
    for count in (4, 2):
        together = segmenter.encode({m: images[m] for m in list(Modality)[:count]})
        for modality, maps in together.items():
            alone = segmenter.encode({modality: images[modality]})[modality]
            for mine, reference in zip(maps, alone, strict=True):
                np.testing.assert_allclose(mine, reference, atol=1e-4 * np.abs(reference).max())


@pytest.mark.parametrize(("name", "device"), ENGINES)
def test_all_subsets_at_once_are_what_each_is_alone(name, device, model, images):
    pytest.importorskip(name)
    segmenter = Segmenter.open(EngineConfig(model, name, device, threads=1, precision="f32"))
    maps = segmenter.encode(images)
    given = [{m: maps[m] for m in subset} for subset in SOME]
    for one, result in zip(given, segmenter.fuse_all(given, (130, 70)), strict=True):
        alone = segmenter.fuse(one, (130, 70))
        assert result.subset == alone.subset
        assert result.weights == pytest.approx(alone.weights, abs=1e-5)
        assert (result.labels == alone.labels).mean() > 0.999
        np.testing.assert_allclose(result.confidence, alone.confidence, atol=1e-3)


@pytest.mark.parametrize(("name", "device"), ENGINES)
def test_results_stay_when_the_next_frame_comes(name, device, model, images):
    pytest.importorskip(name)
    segmenter = Segmenter.open(EngineConfig(model, name, device, threads=1))
    first = segmenter.encode({Modality.RGB: images[Modality.RGB]})
    kept = [torch.as_tensor(m).clone() for m in first[Modality.RGB]]
    segmenter.encode({Modality.RGB: images[Modality.EVENT]})
    for before, after in zip(kept, first[Modality.RGB], strict=True):
        assert torch.equal(before, torch.as_tensor(after))


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


@pytest.fixture(scope="module")
def network():
    return Any2Seg(NetworkConfig(width=8))


def test_auto_is_torch_on_a_gpu_and_else_the_first_that_is_installed(monkeypatch):
    monkeypatch.setattr(engines, "_has_cuda", lambda: True)
    assert resolve("auto", "auto") == "torch"
    monkeypatch.setattr(engines, "_has_cuda", lambda: False)
    for missing, expected in (
        ((), "openvino"),
        (("openvino",), "onnxruntime"),
        (("openvino", "onnxruntime"), "torch"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(engines, "find_spec", lambda name, gone=missing: name not in gone)
            assert resolve("auto", "auto") == expected
    assert resolve("auto", "cuda:1") == "torch"


def test_torch_is_not_imported_to_look_for_a_gpu_where_no_driver_is():
    code = (
        "import sys; from any2seg_ros.engine import engines; engines.GPU_FILES = ();"
        "engines.resolve('auto', 'auto'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_a_driver_without_a_gpu_for_torch_is_no_gpu(monkeypatch, tmp_path):
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(engines, "GPU_FILES", (str(tmp_path / "nvidiactl"),))
    monkeypatch.setattr(engines.metadata, "version", lambda name: "2.13.0+cpu")
    assert not engines._has_cuda()
    monkeypatch.setattr(engines.metadata, "version", lambda name: "2.13.0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert engines._has_cuda()


def test_an_engine_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install openvino"):
        resolve("openvino", "cpu")


@pytest.mark.parametrize("name", engines.NAMES)
def test_a_network_and_its_source_make_the_same_engine(name, network):
    if not find_spec(name):
        pytest.skip(f"{name} is not installed")
    given = (network, NetworkSource.of_network(network))
    first, second = (make(name, one, "cpu", 1, "f32") for one in given)
    assert type(first) is type(second)
    assert first.description == second.description
