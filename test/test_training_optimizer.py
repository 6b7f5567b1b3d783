"""How weights move: the schedule, what decays, what is frozen, and the moving average."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.training.config import OptimizerConfig
from any2seg_ros.training.optimizer import MovingAverage, make_optimizer, set_rate


@pytest.fixture(scope="module")
def network() -> Any2Seg:
    return Any2Seg(NetworkConfig(width=8, shared_encoder=False, adapters=True))


def rates(steps: list[int], **changes) -> list[float]:
    config = OptimizerConfig(lr=1.0, **changes)
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "factor": 0.5}], lr=9)
    told = [set_rate(optimizer, config, step, 100) for step in steps]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * told[-1])
    return told


def test_the_rate_falls_as_a_cosine_or_a_power():
    assert rates([0, 50, 100], warmup_steps=0) == pytest.approx([1, 0.5, 0])
    poly = rates([0, 50, 99], warmup_steps=0, schedule="poly", power=0.9)
    assert poly == pytest.approx([1, 0.5**0.9, 0.01**0.9])


def test_the_rate_rises_from_a_tenth_while_it_warms_up():
    plain, warm = rates([0, 10, 20], warmup_steps=0), rates([0, 10, 20], warmup_steps=20)
    assert warm == pytest.approx([0.1 * plain[0], 0.55 * plain[1], plain[2]])


def test_encoders_learn_slower_and_vectors_do_not_decay(network):
    config = OptimizerConfig(encoder_lr_mult=0.25, weight_decay=0.1)
    groups = make_optimizer(network, config).param_groups
    told = {id(p): (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(told) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        factor = 1.0 if name.startswith("decoder.") else 0.25
        assert told[id(parameter)] == (factor, 0.1 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize(("decay", "step", "kept"), [(0.9, 1000, 0.9), (0.9, 0, 0.1), (0, 1000, 0)])
def test_the_average_keeps_its_share_and_copies_counts(decay, step, kept):
    network = nn.BatchNorm2d(3)
    average = copy.deepcopy(network)
    moving = MovingAverage(average, network, decay)
    nn.init.constant_(network.weight, 3.0)
    network.running_mean += 2.0
    network.num_batches_tracked += 5
    moving.update(step)
    torch.testing.assert_close(average.weight.detach(), torch.full((3,), kept + 3.0 * (1 - kept)))
    torch.testing.assert_close(average.running_mean, torch.full((3,), 2.0 * (1 - kept)))
    assert average.num_batches_tracked == 5
