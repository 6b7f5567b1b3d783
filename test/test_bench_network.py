"""The network benchmark times what it says, in turn."""

from __future__ import annotations

import itertools

import pytest

from any2seg_ros.bench import network
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.types import Modality


def test_calls_take_turns_and_the_first_round_is_not_timed() -> None:
    clock = itertools.count()
    order: list[str] = []
    times = network.in_turn(
        lambda: order.append("a"), lambda: order.append("b"), rounds=3, clock=lambda: next(clock)
    )
    assert order == ["a", "b"] * 4
    assert times.tolist() == [[1, 1]] * 3


def test_a_time_is_the_median_of_at_least_three_calls() -> None:
    calls: list[int] = []
    assert network.milliseconds(lambda: calls.append(0), seconds=0.0) >= 0
    assert len(calls) == 4


def test_as_many_sensors_are_fused_as_are_named() -> None:
    """The gate of the default weights leaves sensors out that show noise."""
    config = EngineConfig(engine="torch", device="cpu", width=192, height=108)
    segmenter = Segmenter.open(config)
    images = network.drive_images(segmenter)
    for count in range(1, len(Modality) + 1):
        some = dict(list(images.items())[:count])
        assert segmenter.segment(some).subset == tuple(Modality)[:count]


@pytest.mark.parametrize("name", network.BACKBONES)
def test_segformer_has_an_encoder_of_the_same_size_as_ours(name: str) -> None:
    transformers = pytest.importorskip("transformers", reason="the baseline of the benchmark")
    from any2seg_ros.network.mit import MIT_CONFIGS

    config = MIT_CONFIGS[name]
    theirs = network.segformer_config(config, 256)
    assert isinstance(theirs, transformers.SegformerConfig)
    assert theirs.hidden_sizes == list(config.channels)
    assert theirs.depths == list(config.depths)
