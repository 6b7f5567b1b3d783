"""Exported graphs compute what the network computes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from any2seg_ros.engine.export import export
from any2seg_ros.modalities import Modality
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save

SUBSET = (Modality.DEPTH, Modality.EVENT)
NETWORKS = {
    "shared": NetworkConfig(width=8, classes=5),
    "own": NetworkConfig(width=8, classes=5, shared_encoder=False, adapters=True),
}


@pytest.fixture(scope="module", params=NETWORKS)
def model(request, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("export") / "net.safetensors"
    network = Any2Seg(NETWORKS[request.param])
    for matrices in network.adapters.matrices if network.adapters else ():
        torch.nn.init.normal_(matrices, std=0.1)
    save(path, network, Metadata(size=(64, 32)))
    return path


def test_an_onnx_file_gives_the_networks_logits_and_weights(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from any2seg_ros.network.checkpoints import load

    path = export(model, tmp_path, "onnx", SUBSET)
    assert path.name == "net_depth+event.onnx"
    assert json.loads(path.with_suffix(".json").read_text())["size"] == [64, 32]
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 64)).astype("f4")
    session = onnxruntime.InferenceSession(path.read_bytes())
    logits, weights = session.run(None, {session.get_inputs()[0].name: images})
    with torch.no_grad():
        expected, expected_weights = load(model)[0](torch.from_numpy(images), SUBSET)
    assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
    np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_an_openvino_file_gives_the_networks_logits_and_weights(model, tmp_path):
    ov = pytest.importorskip("openvino")
    from any2seg_ros.network.checkpoints import load

    path = export(model, tmp_path, "openvino", SUBSET)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 64)).astype("f4")
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits, weights = compiled([images]).values()
    with torch.no_grad():
        expected, expected_weights = load(model)[0](torch.from_numpy(images), SUBSET)
    assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
    np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_a_dot_in_the_models_name_does_not_cost_the_subsets(model, tmp_path):
    pytest.importorskip("openvino")
    dotted = tmp_path / "net_v1.2.safetensors"
    dotted.write_bytes(model.read_bytes())
    export(dotted, tmp_path, "openvino", SUBSET)
    names = {path.name for path in tmp_path.glob("net_v1.2_depth+event.*")}
    assert names == {f"net_v1.2_depth+event.{ending}" for ending in ("xml", "bin", "json")}


def test_an_unknown_format_names_those_that_exist(model, tmp_path):
    with pytest.raises(ValueError, match="onnx, openvino"):
        export(model, tmp_path, "tflite", SUBSET)
