"""The gate leaves out sensors that would do harm, and nobody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.engine.gate import Gate, statistics
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality


def gate(worth: dict[Modality, list[float]], margin: float = 0.0) -> Gate:
    """Worth by the number of sensors, whatever the features."""
    one = {m: np.ones(2, np.float32) for m in worth}
    zero = {m: np.zeros(2, np.float32) for m in worth}
    return Gate(zero, one, zero, worth, margin)


SEEN = {m: np.zeros(2, np.float32) for m in Modality}


def test_a_sensor_that_does_harm_is_left_out_and_then_the_next():
    worth = {RGB: [0.2, 0.2, 0.2], LIDAR: [0.1, 0.1, -0.5], EVENT: [-0.1, -0.3, 0.0]}
    assert gate(worth).believed(SEEN) == (RGB, DEPTH)
    assert gate({LIDAR: [0.1, 0.1, -0.5]}).believed(SEEN) == (RGB, DEPTH, EVENT)


def test_the_last_sensor_stays_whatever_it_is_worth():
    harmful = gate({m: [-1.0, -1.0, -1.0] for m in Modality})
    assert len(harmful.believed(SEEN)) == 1
    assert harmful.believed({LIDAR: SEEN[LIDAR]}) == (LIDAR,)


def test_a_little_harm_is_borne():
    assert gate({LIDAR: [-0.01] * 3}, margin=0.02).believed(SEEN) == tuple(Modality)


def test_a_gate_that_was_not_fitted_believes_everyone():
    assert Gate.from_metadata({}).believed(SEEN) == tuple(Modality)


def test_what_was_fitted_is_read_again_from_the_metadata():
    given = Gate(
        {LIDAR: np.array([1, 2], np.float32)}, {LIDAR: np.array([2, 4], np.float32)},
        {LIDAR: np.array([0.5, -0.25], np.float32)}, {LIDAR: [0.1, 0.2, 0.3]}, 0.03,
    )  # fmt: skip
    again = Gate.from_metadata(given.metadata())
    assert again.margin == 0.03
    seen = np.array([3.0, 10.0], np.float32)
    for among in (2, 3, 4):
        expected = 0.5 * 1 - 0.25 * 2 + 0.1 * (among - 1)
        assert again.worth(LIDAR, seen, among) == pytest.approx(expected)


def test_statistics_are_the_mean_and_spread_of_every_channel():
    maps = [np.random.default_rng(i).random((3 + i, 4, 5)) for i in range(4)]
    found = statistics(maps)
    assert len(found) == 2 * (3 + 4 + 5 + 6)
    np.testing.assert_allclose(found[:3], maps[0].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[3:6], maps[0].std((1, 2)), rtol=1e-5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("gate") / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="efficientnet_lite0", width=16)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    return path


def test_a_doubted_sensor_changes_nothing_and_weighs_nothing(weights, tmp_path):
    images = {m: np.random.default_rng(m).random((3, 64, 64), dtype=np.float32) for m in Modality}
    plain = Segmenter.open(EngineConfig(str(weights), "torch", "cpu", threads=1))
    length = 2 * sum(plain.array(scale).shape[0] for scale in plain.encode(images)[RGB])
    doubting = Gate(
        {LIDAR: np.zeros(length)}, {LIDAR: np.ones(length)},
        {LIDAR: np.zeros(length)}, {LIDAR: [-1.0] * 3},
    )  # fmt: skip
    network, metadata = checkpoints.load(weights)
    path = tmp_path / "gated.safetensors"
    checkpoints.save(path, network, replace(metadata, gate=doubting.metadata()))
    gated = Segmenter.open(EngineConfig(str(path), "torch", "cpu", threads=1))
    found = gated.segment(images)
    without = plain.segment({m: image for m, image in images.items() if m != LIDAR})
    assert np.array_equal(found.labels, without.labels)
    np.testing.assert_allclose(found.confidence, without.confidence, atol=1e-6)
    assert LIDAR not in found.subset and len(found.subset) == 3 and found.weights[LIDAR] == 0
    assert sum(found.weights.values()) == pytest.approx(1)
    alone = gated.segment({LIDAR: images[LIDAR]})
    assert alone.weights == {LIDAR: 1.0}


def test_without_a_gate_weights_are_as_before(weights):
    images = {m: np.random.default_rng(m).random((3, 64, 64), dtype=np.float32) for m in Modality}
    segmenter = Segmenter.open(EngineConfig(str(weights), "torch", "cpu", threads=1))
    assert all(weight > 0 for weight in segmenter.segment(images).weights.values())
