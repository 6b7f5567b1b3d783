"""Batch norms that several processes share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.training import distributed
from any2seg_ros.training.distributed import SharedBatchNorm2d, share_norms
from any2seg_ros.types import Modality


def features(offset: float) -> torch.Tensor:
    torch.manual_seed(0)
    given = torch.randn(3, 4, 5, 6) + offset
    given[:, 1] = offset  # a channel that tells nothing
    return given.requires_grad_()


@pytest.mark.parametrize("offset", [0.0, 10.0, 1e4])
def test_a_shared_norm_is_torchs_however_large_the_mean(offset):
    mine, reference = SharedBatchNorm2d(4), nn.BatchNorm2d(4)
    results, gradients = [], []
    for norm in (mine, reference):
        given = features(offset)
        result = norm(given)
        (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
        results.append(result.detach()[:, [0, 2, 3]])
        gradients.append(given.grad[:, [0, 2, 3]])
        assert torch.isfinite(result).all() and torch.isfinite(given.grad).all()
    torch.testing.assert_close(*results, atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(*gradients, atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(mine.running_mean, reference.running_mean)
    torch.testing.assert_close(mine.running_var, reference.running_var, atol=1e-3, rtol=1e-3)


def test_shares_of_different_size_and_mean_are_merged_to_the_moments_of_all(monkeypatch):
    whole = features(5.0).detach() * torch.arange(1, 4)[:, None, None, None]
    shares = [whole[:1], whole[1:], whole[:0]]
    told = []
    monkeypatch.setattr(distributed, "_gathered", lambda own: told.append(own) or own[None])
    for share in shares:
        distributed._moments(share)
    monkeypatch.setattr(distributed, "_gathered", lambda own: torch.stack(told))
    count, mean, variance = distributed._moments(shares[0])
    assert count == 3 * 5 * 6
    torch.testing.assert_close(mean, whole.mean((0, 2, 3)))
    torch.testing.assert_close(variance, whole.var((0, 2, 3), unbiased=False))


@pytest.mark.parametrize(
    ("rank", "expected"), [(0, ["work", "wait"]), (1, ["wait", "work"]), (2, ["wait", "work"])]
)
def test_the_first_process_goes_before_the_others(monkeypatch, rank, expected):
    done: list[str] = []
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_rank", lambda: rank)
    monkeypatch.setattr(distributed.dist, "barrier", lambda: done.append("wait"))
    with distributed.first_before_others():
        done.append("work")
    assert done == expected


CONFIG = NetworkConfig(classes=7, width=16, shared_encoder=False, adapters=True)


def test_shared_norms_bear_a_process_without_an_image_of_a_modality():
    """Other processes may have some, and wait for this one's sums."""
    network = Any2Seg(CONFIG).train()
    share_norms(network)
    images = torch.randn(2, 4, 3, 32, 64)
    present = torch.tensor([[True, True, True, False]] * 2)
    maps = network.encode(images, present)
    maps[-1].square().mean().backward()
    silent, speaking = (network.encoder_of(m) for m in (Modality.EVENT, Modality.RGB))
    assert not silent.stem[0].weight.grad.any() and speaking.stem[0].weight.grad.any()
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert not silent.stem[1].running_mean.any() and speaking.stem[1].running_mean.any()
