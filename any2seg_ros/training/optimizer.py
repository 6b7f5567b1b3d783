"""AdamW, its learning rate schedule, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from any2seg_ros.network import Any2Seg
from any2seg_ros.network.asymmetric import Asymmetric
from any2seg_ros.training.config import OptimizerConfig


def make_optimizer(network: Any2Seg, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with four groups: before and after the fusion, with and without weight decay."""
    decoder = list(network.decoder.parameters())
    if isinstance(network, Asymmetric):  # the hub begins with random weights, too
        decoder += network.hub.parameters()
    after = {id(p) for p in decoder}
    before = [p for p in network.parameters() if id(p) not in after]
    return adamw(before, decoder, config)


def adamw(
    encoders: Iterable[nn.Parameter], others: Iterable[nn.Parameter], config: OptimizerConfig
) -> torch.optim.AdamW:
    """AdamW of what is trained, with groups for encoders and others, with and without decay."""
    groups = []
    for part, factor in ((encoders, config.encoder_lr_mult), (others, 1.0)):
        parameters = [p for p in part if p.requires_grad]
        for decay, chosen_ones in (
            (config.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            groups.append({"params": chosen_ones, "weight_decay": decay, "factor": factor})
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def set_rate(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, steps: int
) -> float:
    """Set the learning rates of a step; returns the decoder's."""
    done = step / steps
    if config.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * done))
    else:
        factor = (1 - done) ** config.power
    if step < config.warmup_steps:
        factor *= 0.1 + 0.9 * step / config.warmup_steps
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group["factor"] * factor
    return config.lr * factor


class MovingAverage:
    """Exponential moving average of the weights of `network` in `average`; counts are copied.

    The tensors are listed once: listing the thousand of them takes longer than averaging them.
    """

    def __init__(self, average: nn.Module, network: nn.Module, decay: float) -> None:
        mine, new = average.state_dict(), network.state_dict()
        moving = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        self._decay = decay
        self._moving = [mine[n] for n in moving], [new[n] for n in moving]
        self._counts = [(mine[n], new[n]) for n in mine.keys() - set(moving)]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Average in a step; the first ones decay faster."""
        decay = min(self._decay, (1 + step) / (10 + step)) if self._decay else 0.0
        get_ema_multi_avg_fn(decay)(*self._moving, 0)
        for mine, new in self._counts:
            mine.copy_(new)
