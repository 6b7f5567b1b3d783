"""Gradients of depthwise 5 x 5 convolutions on a CPU, where oneDNN's take most of a step.

oneDNN needs 11 ms for 8 maps of 1152 x 5 x 8 on one core with AVX-512, these loops 2.5 ms; of
3 x 3 kernels its own are as fast, and stay.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from any2seg_ros.loops import compiled

_KERNEL = 5


def hasten(network: nn.Module) -> int:
    """Give the float32 depthwise 5 x 5 convolutions of `network` these gradients; how many.

    The function stays the same, and its gradients but for rounding.
    """
    slow = [m for m in network.modules() if type(m) is nn.Conv2d and _is_slow(m)]
    for convolution in slow:
        convolution.__class__ = DepthwiseConv2d
    return len(slow)


def _is_slow(convolution: nn.Conv2d) -> bool:
    kernel, channels = _KERNEL, convolution.in_channels
    return (
        convolution.kernel_size == (kernel, kernel)
        and convolution.groups == channels == convolution.out_channels
        and convolution.padding == (kernel // 2, kernel // 2)
        and convolution.dilation == (1, 1)
        and convolution.bias is None
    )


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise 5 x 5 convolution without bias, whose gradients on a CPU are loops."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/s, W/s)."""
        whole = input.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if torch.is_grad_enabled() and input.device.type == "cpu" and whole:
            return _Depthwise.apply(input, self.weight, self.stride[0])
        return super().forward(input)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride = stride
        return F.conv2d(maps, weight, None, stride, _KERNEL // 2, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor, None]:
        maps, weight = (tensor.detach() for tensor in ctx.saved_tensors)
        above, below = _rows(outputs[0].detach()), _rows(maps)
        kernel = weight[:, 0].permute(1, 2, 0).contiguous().numpy()
        into = np.zeros_like(below)
        parts = max(1, min(torch.get_num_threads(), len(below)))
        kernels = np.zeros((parts, *kernel.shape), np.float32)
        shares = [np.array_split(maps, parts) for maps in (above, below, into)]

        def of_part(above: Any, below: Any, into: Any, own: Any) -> None:
            _pass_back(above, below, kernel, ctx.stride, into, own)

        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(of_part, *shares, kernels))
        gradient = torch.from_numpy(kernels.sum(0)).permute(2, 0, 1)[:, None]
        return torch.from_numpy(into).permute(0, 3, 1, 2), gradient, None


def _rows(maps: Tensor) -> np.ndarray:
    """(N, C, H, W) -> (N, H, W, C), C-contiguous; no copy if `maps` is channels last."""
    return maps.permute(0, 2, 3, 1).contiguous().numpy()


@compiled
def _pass_back(
    above: np.ndarray,
    below: np.ndarray,
    kernel: np.ndarray,
    stride: int,
    into: np.ndarray,
    into_kernel: np.ndarray,
) -> None:
    """Add to `into` (N, H, W, C) and `into_kernel` (5, 5, C) the gradients of inputs and kernel.

    above: the outputs' gradients (N, H/s, W/s, C); below: the inputs (N, H, W, C).
    """
    size, (height, width) = len(kernel), below.shape[1:3]
    for n in range(len(above)):
        for y in range(above.shape[1]):
            for i in range(size):
                row = y * stride + i - size // 2
                if row < 0 or row >= height:
                    continue
                for x in range(above.shape[2]):
                    for j in range(size):
                        column = x * stride + j - size // 2
                        if 0 <= column < width:
                            for c in range(above.shape[3]):
                                into[n, row, column, c] += above[n, y, x, c] * kernel[i, j, c]
                            for c in range(above.shape[3]):
                                into_kernel[i, j, c] += above[n, y, x, c] * below[n, row, column, c]
