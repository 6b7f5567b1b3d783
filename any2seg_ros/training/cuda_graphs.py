"""Encoders as CUDA graphs: a small network waits longer for its launches than for its kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from any2seg_ros.engine.torch_engine import Recorded
from any2seg_ros.network import Any2Seg

Forward = Callable[[Tensor], list[Tensor]]


class _Either:
    """A recorded pass for batches of its shape and mode, else the plain one."""

    def __init__(self, encoder: nn.Module, recorded: Forward, plain: Forward, shape: torch.Size):
        self._encoder = encoder
        self._training = encoder.training
        self._recorded = recorded
        self._plain = plain
        self._shape = shape

    def __call__(self, images: Tensor) -> list[Tensor]:
        fits = images.shape == self._shape and self._encoder.training == self._training
        return list((self._recorded if fits else self._plain)(images))


def record(network: Any2Seg, batch: torch.Size) -> None:
    """Record the passes through the encoders, as they are trained or not, for images of the shape
    (B, M, 3, H, W): forward alone for those that are frozen, else backward, too. A copy of the
    network that is made afterwards would run the passes of this one."""
    for encoder in network.encoders:
        images = _images(network, batch)
        plain = encoder.forward
        recorded = _recorded(encoder, images)
        encoder.forward = _Either(encoder, recorded, plain, images.shape)  # type: ignore[method-assign]


def _recorded(encoder: nn.Module, images: Tensor) -> Forward:
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        with torch.no_grad():
            return Recorded(encoder.forward, [images], torch.cuda.Stream(images.device))
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    torch.cuda.make_graphed_callables(encoder, (images,))
    for name, buffer in encoder.named_buffers():  # the statistics of random images
        buffer.copy_(before[name])
    return encoder.forward


def _images(network: Any2Seg, batch: torch.Size) -> Tensor:
    """Random images like those that each encoder gets of a batch."""
    each = batch[0] * batch[1] // len(network.encoders)
    images = torch.randn(each, *batch[2:], device=next(network.parameters()).device)
    return images.contiguous(memory_format=torch.channels_last)
