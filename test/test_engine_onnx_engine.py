"""ONNX Runtime: a session for each shape, on as many threads as are wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")

from any2seg_ros.engine.onnx_engine import OnnxEngine, convert
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "own"])
def engine(request) -> OnnxEngine:
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=8, shared_encoder=request.param))
    return OnnxEngine(NetworkSource.of_network(network), threads=1)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((3, 32, 64)).astype("f4")


@torch.no_grad()
def test_each_image_goes_through_the_encoder_of_its_modality(engine):
    found = engine.encode([image(0), image(1)], [DEPTH, EVENT])
    for features, seed, modality in zip(found, range(2), (DEPTH, EVENT), strict=True):
        encoder = engine._source.network.encoder_of(modality)
        for mine, theirs in zip(
            features, encoder(torch.from_numpy(image(seed))[None]), strict=True
        ):
            np.testing.assert_allclose(mine, theirs[0], atol=1e-3 * float(theirs.abs().max()))


def test_a_session_is_made_once_for_what_shapes_it(engine):
    for _ in range(2):
        features = engine.encode([image(0), image(1)], [RGB, LIDAR])
        engine.segment(features, [RGB, LIDAR])
    before = dict(engine._sessions)
    features = engine.encode([image(2), image(3)], [RGB, LIDAR])
    engine.segment(features, [RGB, LIDAR])
    assert engine._sessions == before
    engine.segment(features, [RGB, LIDAR], ((0,), (0, 1)))
    assert len(engine._sessions) == len(before) + 1


def test_a_network_is_not_trained_by_being_converted():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).eval()
    convert(torch.nn.Sequential(network), [(1, 3, 4, 4)])
    assert not any(module.training for module in network.modules())


def test_threads_are_as_many_as_told(engine):
    assert engine._options.intra_op_num_threads == 1


def test_a_converted_module_has_the_names_it_is_given():
    import onnxruntime

    session = onnxruntime.InferenceSession(
        convert(torch.nn.Conv2d(3, 2, 1), [(1, 3, 4, 4)], ["image"], ["logits"])
    )
    assert [i.name for i in session.get_inputs()] == ["image"]
    assert session.run(["logits"], {"image": image(0)[None, :, :4, :4]})[0].shape == (1, 2, 4, 4)
