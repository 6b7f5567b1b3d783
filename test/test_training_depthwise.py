"""The gradients of depthwise convolutions on a CPU are those of torch."""

import copy

import pytest
import torch
from torch import nn

from any2seg_ros.network.efficientnet import EfficientNetLite
from any2seg_ros.training.depthwise import DepthwiseConv2d, hasten


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(5, 8), (9, 16), (11, 7), (2, 1)])
def test_gradients_are_those_of_torch(samples, stride, size):
    torch.manual_seed(0)
    plain = nn.Conv2d(24, 24, 5, stride, 2, groups=24, bias=False)
    quick = copy.deepcopy(plain)
    assert hasten(quick) == 1
    maps = torch.randn(samples, 24, *size)
    found = []
    for convolution in (plain, quick):
        leaf = maps.clone().to(memory_format=torch.channels_last).requires_grad_()
        out = convolution(leaf)
        out.backward(torch.sin(torch.arange(out.numel(), dtype=torch.float32)).view(out.shape))
        found.append((out, leaf.grad, convolution.weight.grad))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_only_what_the_loops_can_do_is_replaced():
    encoder = EfficientNetLite()
    names = encoder.state_dict().keys()
    replaced = hasten(encoder)
    wanted = [m for m in encoder.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5)]
    assert replaced == len(wanted) > 5
    assert all(isinstance(m, DepthwiseConv2d) for m in wanted)
    assert encoder.state_dict().keys() == names
    others = nn.Sequential(
        nn.Conv2d(4, 4, 5, padding=2, bias=False),
        nn.Conv2d(4, 4, 5, padding=2, groups=4),
        nn.Conv2d(4, 4, 5, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
    )
    assert hasten(others) == 0


def test_in_bfloat16_gradients_are_torchs_own():
    convolution = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
    hasten(convolution)
    with torch.autocast("cpu", torch.bfloat16):
        out = convolution(torch.randn(2, 8, 9, 9))
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert convolution.weight.grad is not None and convolution.weight.grad.isfinite().all()
