"""What all tests share: one thread a library, a cache of graphs of their own, small networks.

Tests compute little: threads of theirs would mostly wait for each other, and on a machine that is
busy with other programs for whole turns of the scheduler. With ANY2SEG_SKIP_MISSING=1, as
`colcon test` sets it, tests of packages that are not installed are skipped; otherwise they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import numpy as np
    from adaptation_data import Place

    from any2seg_ros.types import Modality

# Read when numpy, torch and numba are imported, here and in processes that tests start.
for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

with suppress(ImportError):  # before a test imports OpenVINO with its telemetry, which forks
    import any2seg_ros.engine.openvino_import  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What engines keep on disk goes to a folder of this run; no test needs its user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANY2SEG_CACHE", str(tmp_path_factory.mktemp("graphs")))
        yield


ENGINE_SIZE = (96, 64)


@pytest.fixture(scope="session", params=["one encoder", "own encoders"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained network for tests of engines, without and with adapters; its file."""
    import torch

    from any2seg_ros.network import Any2Seg, NetworkConfig
    from any2seg_ros.network.checkpoints import Metadata, save
    from any2seg_ros.network.pretrained import load_encoder

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
    save(path, network, Metadata(size=ENGINE_SIZE, temperatures={"rgb": 4.0}))
    return str(path)


@pytest.fixture(scope="session")
def images() -> dict[Modality, np.ndarray]:
    """Images of all modalities for that network."""
    import numpy as np

    from any2seg_ros.types import Modality

    generator = np.random.default_rng(0)
    width, height = ENGINE_SIZE
    return {m: generator.standard_normal((3, height, width)).astype("f4") for m in Modality}


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A simulated drive and all that it takes to adapt to it."""
    import adaptation_data

    return adaptation_data.write(tmp_path_factory.mktemp("drive"))


SKIP = os.environ.get("ANY2SEG_SKIP_MISSING") == "1"


def missing(error: BaseException | None) -> str:
    """The package that is not installed and caused an error; empty if something else did."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            name = error.name.split(".")[0]
            return "" if name == "any2seg_ros" else name
        error = error.__cause__ or error.__context__
    return ""


class Module(pytest.Module):
    """A test module that is skipped where a package that it imports is missing."""

    def _getobj(self) -> Any:
        try:
            return super()._getobj()
        except self.CollectError as error:
            package = missing(error)
        if not package:
            return super()._getobj()
        pytest.skip(f"{package} is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Any, parent: Any) -> Any:
    return Module.from_parent(parent, path=module_path) if SKIP else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: Any) -> Iterator[None]:
    return (yield from _skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Iterator[None]:
    return (yield from _skipping())


def _skipping() -> Iterator[None]:
    try:
        return (yield)
    except ModuleNotFoundError as error:
        package = missing(error)
        if SKIP and package:
            pytest.skip(f"{package} is not installed")
        raise
