"""Which engine is taken, and what it cannot do."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from any2seg_ros.engine import engines
from any2seg_ros.engine.engines import make, resolve
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network import Any2Seg, NetworkConfig


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
