"""OpenVINO's engine: few graphs for all subsets, and results that stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("openvino")

from any2seg_ros.engine.graph_cache import GraphCache
from any2seg_ros.engine.openvino_engine import OpenVinoEngine, name_of
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.types import Modality, all_subsets

pytestmark = pytest.mark.timeout(600)
SHAPE = (3, 32, 64)
SUBSETS = ((Modality.LIDAR,), (Modality.RGB, Modality.EVENT), tuple(Modality))


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "own"])
def source(request):
    torch.manual_seed(0)
    config = NetworkConfig(width=8, shared_encoder=request.param, adapters=not request.param)
    network = Any2Seg(config)
    for matrices in network.adapters.matrices if network.adapters else ():
        torch.nn.init.normal_(matrices, std=0.1)
    return NetworkSource.of_network(network)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def engine(source, folder):
    return OpenVinoEngine(source, "cpu", 2, "f32", GraphCache(source, folder))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((4, *SHAPE)).astype("f4")


def segmented(engine, images, subset):
    features = engine.encode([images[m] for m in subset], subset)
    logits, weights = engine.segment(features, subset)
    return logits[0].copy(), weights[0].copy()


def test_every_subset_is_what_the_network_computes(engine, source, images):
    for subset in SUBSETS:
        logits, weights = segmented(engine, images, subset)
        with torch.no_grad():
            given = torch.from_numpy(images[list(subset)])
            expected, expected_weights = source.network(given, subset)
        assert np.abs(logits - expected.numpy()).max() <= 1e-3 * expected.abs().max()
        np.testing.assert_allclose(weights, expected_weights, atol=1e-4)


def test_the_subsets_to_prepare_make_all_graphs_there_are(source, engine, images, folder):
    for subset in all_subsets():
        segmented(engine, images, subset)
    everything = {path.name for path in folder.rglob("*.graph")}
    kept = GraphCache(source, folder)
    fresh = OpenVinoEngine(source, "cpu", 2, "f32", kept)
    for subset in fresh.subsets_to_prepare(Modality):
        segmented(fresh, images, subset)
    assert {f"{name}.graph" for name in kept._names} <= everything
    count = 1 if source.shared_encoder else 4
    assert len(kept._names) == count + 2
    before = (len(fresh._encoders), len(fresh._decoders))
    for subset in all_subsets():
        segmented(fresh, images, subset)
    assert (len(fresh._encoders), len(fresh._decoders)) == before


def test_what_a_modality_left_does_not_shine_through_when_it_is_gone(engine, images):
    rest = (Modality.RGB, Modality.EVENT)
    expected, _ = segmented(engine, images, rest)
    loud = images.copy()
    loud[Modality.LIDAR] = np.nan
    segmented(engine, loud, tuple(Modality))
    found, _ = segmented(engine, images, rest)
    np.testing.assert_array_equal(found, expected)


def test_names_tell_graphs_apart():
    names = {name_of("encoder", [(3, height, 64)]) for height in (32, 33)}
    names |= {name_of("decoder", [(4, 24, 36, 64), (4, 40, 18, 32), (c,)]) for c in range(3)}
    assert len(names) == 5
