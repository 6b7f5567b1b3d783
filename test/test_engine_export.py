"""Exported graphs compute what the network computes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from any2seg_ros.engine.export import export
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save
from any2seg_ros.types import Modality

SUBSET = (Modality.DEPTH, Modality.EVENT)
NETWORKS = {
    "shared": NetworkConfig(width=8, classes=5),
    "own": NetworkConfig(width=8, classes=5, shared_encoder=False, adapters=True),
}


def saved(folder, name: str):
    torch.manual_seed(0)
    network = Any2Seg(NETWORKS[name])
    for matrices in network.adapters.matrices if network.adapters else ():
        torch.nn.init.normal_(matrices, std=0.1)
    save(folder / "net.safetensors", network, Metadata(size=(64, 32)))
    return folder / "net.safetensors"


@pytest.fixture(scope="module", params=NETWORKS)
def model(request, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("export"), request.param)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The smaller of them, for what files have to do with."""
    return saved(tmp_path_factory.mktemp("shared"), "shared")


def check_told(path) -> None:
    """Beside a graph stands in which order images go in, whatever was asked for, and what else."""
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["modalities"] == ["depth", "event"] and told["size"] == [64, 32]


def test_an_onnx_file_gives_the_networks_logits_and_weights(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from any2seg_ros.network.checkpoints import load

    path = export(model, tmp_path, "onnx", SUBSET[::-1])
    assert path.name == "net_depth+event.onnx"
    check_told(path)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 64)).astype("f4")
    session = onnxruntime.InferenceSession(path.read_bytes())
    assert session.get_modelmeta().custom_metadata_map == {"modalities": "depth+event"}
    logits, weights = session.run(["logits", "weights"], {"images": images})
    with torch.no_grad():
        expected, expected_weights = load(model)[0](torch.from_numpy(images), SUBSET)
    assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
    np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_an_openvino_file_gives_the_networks_logits_and_weights(model, tmp_path):
    ov = pytest.importorskip("openvino")
    from any2seg_ros.network.checkpoints import load

    path = export(model, tmp_path, "openvino", SUBSET[::-1])
    check_told(path)
    order = ov.Core().read_model(path).get_rt_info(["modalities"])
    assert order.astype(str) == "depth+event"
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 64)).astype("f4")
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({"images": images})
    logits, weights = found["logits"], found["weights"]
    with torch.no_grad():
        expected, expected_weights = load(model)[0](torch.from_numpy(images), SUBSET)
    assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
    np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_an_export_that_fails_leaves_what_was_there(shared, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    before = {f"net_depth+event.{ending}": ending.encode() for ending in ("xml", "bin", "json")}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("any2seg_ros.engine.export.json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(shared, tmp_path, "openvino", SUBSET)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_dot_in_the_models_name_does_not_cost_the_subsets(shared, tmp_path):
    pytest.importorskip("openvino")
    dotted = tmp_path / "net_v1.2.safetensors"
    dotted.write_bytes(shared.read_bytes())
    export(dotted, tmp_path, "openvino", SUBSET)
    names = {path.name for path in tmp_path.glob("net_v1.2_depth+event.*")}
    assert names == {f"net_v1.2_depth+event.{ending}" for ending in ("xml", "bin", "json")}


def test_an_unknown_format_names_those_that_exist(shared, tmp_path):
    with pytest.raises(ValueError, match="onnx, openvino, graphs"):
        export(shared, tmp_path, "tflite", SUBSET)


def test_a_graph_takes_images_of_the_size_that_was_asked_for(shared, tmp_path):
    ov = pytest.importorskip("openvino")
    path = export(shared, tmp_path, "openvino", SUBSET, (96, 0))
    assert list(ov.Core().read_model(path).input("images").shape) == [2, 3, 32, 96]
    assert json.loads(path.with_suffix(".json").read_text())["size"] == [96, 32]


def test_a_network_that_cannot_be_cut_in_two_has_no_graphs(tmp_path):
    pytest.importorskip("openvino")
    from any2seg_ros.engine.export import export_graphs
    from any2seg_ros.network.asymmetric import make_network

    path = tmp_path / "hub.safetensors"
    save(path, make_network(NetworkConfig(width=8, fusion="hub")), Metadata(size=(64, 32)))
    with pytest.raises(ValueError, match="there are no graphs"):
        export_graphs(path, tmp_path)
    with pytest.raises(ValueError, match="there are no graphs"):
        export(path, tmp_path, "openvino", SUBSET)
