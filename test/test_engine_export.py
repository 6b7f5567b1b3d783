"""Exported graphs compute what the network computes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from any2seg_ros.engine.export import export
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("export") / "net.safetensors"
    save(path, Any2Seg(NetworkConfig(width=8, classes=5)), Metadata(size=(64, 32)))
    return path


def test_an_onnx_file_gives_the_networks_logits_and_weights(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from any2seg_ros.network.checkpoints import load

    path = export(model, tmp_path, "onnx", 2)
    assert path.name == "net_2.onnx"
    assert json.loads(path.with_suffix(".json").read_text())["size"] == [64, 32]
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 64)).astype("f4")
    session = onnxruntime.InferenceSession(path.read_bytes())
    logits, weights = session.run(None, {session.get_inputs()[0].name: images})
    with torch.no_grad():
        expected, expected_weights = load(model)[0](torch.from_numpy(images))
    assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
    np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_an_openvino_file_gives_the_networks_logits_and_weights(model, tmp_path):
    ov = pytest.importorskip("openvino")
    from any2seg_ros.network.checkpoints import load

    path = export(model, tmp_path, "openvino", 2)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 64)).astype("f4")
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits, weights = compiled([images]).values()
    with torch.no_grad():
        expected, expected_weights = load(model)[0](torch.from_numpy(images))
    assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
    np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_an_unknown_format_names_those_that_exist(model, tmp_path):
    with pytest.raises(ValueError, match="onnx, openvino"):
        export(model, tmp_path, "tflite", 1)
