"""Several processes that train as one: started by torchrun, sharing gradients and norms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from any2seg_ros.network import Any2Seg


def start() -> tuple[int, int]:
    """(rank, number of processes); joins the group when torchrun started this process."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return 0, 1
    if not dist.is_initialized():
        store, rank, world = next(iter(dist.rendezvous("env://")))
        store.set(f"gpu {rank}", _own_gpu())
        every = {store.get(f"gpu {other}").decode() for other in range(world)}
        # NCCL wants a GPU for each process.
        backend = "gloo" if "" in every or len(every) < world else "cpu:gloo,cuda:nccl"
        # The first process fills the cache and validates while the others wait.
        hours = timedelta(hours=12)
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=hours)
    return dist.get_rank(), dist.get_world_size()


def _own_gpu() -> str:
    """Choose a GPU for this process; its UUID, empty without a GPU."""
    gpus = torch.cuda.device_count()
    if not gpus:
        return ""
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % gpus)
    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)


def stop() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wait() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def first_before_others() -> Iterator[None]:
    """A block that the first process walks while the others wait: they find what it has cached."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    if rank:
        wait()
    yield
    if not rank:
        wait()


def total(value: Tensor) -> Tensor:
    """The sum over all processes, without gradient."""
    value = value.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes, in one all-reduce.

    A parameter that no process used has none; one that only others used counts as zero here.
    """
    if not dist.is_initialized():
        return
    every = list(parameters)
    used = total(torch.tensor([float(p.grad is not None) for p in every], device=every[0].device))
    shared = [p for p, count in zip(every, used.tolist(), strict=True) if count]
    for parameter in shared:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in shared if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        return total(value)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return total(gradient)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the statistics of all processes' samples; torch's own needs CUDA."""

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return super().forward(features)
        features = features.float()  # half a float holds no sum of squares
        count, mean, variance = _moments(features)
        if not count:
            return features
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            self.running_mean.lerp_(mean, self.momentum or 0.1)
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased, self.momentum or 0.1)
        scale = self.weight / (variance + self.eps).sqrt()
        shift = self.bias - mean * scale
        return features * scale[:, None, None] + shift[:, None, None]


def _moments(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The number of pixels (), and each channel's mean (C,) and variance (C,) over all processes.

    Scatters are around each process's own mean: a difference of mean squares would be lost in
    rounding where the mean is large.
    """
    number = features.numel() // features.shape[1]
    mean = features.sum((0, 2, 3)) / max(number, 1)
    scatter = (features - mean[:, None, None]).square().sum((0, 2, 3))
    own = torch.stack([torch.full_like(mean, number), mean, scatter])
    counts, means, scatters = _gathered(own).unbind(1)
    count = counts.sum(0)
    mean = (counts * means).sum(0) / count
    between = (counts * (means - mean).square()).sum(0)
    return count[0], mean, (scatters.sum(0) + between) / count


def _gathered(own: Tensor) -> Tensor:
    """The tensors of all processes, one a row, with gradient."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    rows = [own if row == rank else torch.zeros_like(own) for row in range(world)]
    return _Sum.apply(torch.stack(rows))


def share_norms(network: Any2Seg) -> None:
    """Make every batch norm of the network use the samples of all processes."""
    network.encode_nothing = any(
        isinstance(module, nn.BatchNorm2d) for e in network.encoders for module in e.modules()
    )
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d
