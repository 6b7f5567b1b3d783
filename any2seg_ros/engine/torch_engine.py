"""Inference with torch: CUDA with mixed precision where there is a GPU, else the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from any2seg_ros.engine.features import Choices, Features
from any2seg_ros.engine.graph_engine import GraphEngine, Mixing
from any2seg_ros.engine.graphs import DecoderGraph, EncoderGraph
from any2seg_ros.engine.masks import masks, total
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.network import Any2Seg
from any2seg_ros.types import Modality

Graph = Callable[..., Sequence[Tensor]]


class TorchEngine(GraphEngine):
    """See `engines.Engine`.

    Takes the network over: its weights change their device and dtype. Features stay on the device.
    With CUDA each shape is recorded once as a graph (`Recorded`).
    """

    def __init__(self, network: Any2Seg, device: str, threads: int, precision: str) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if threads:
            torch.set_num_threads(threads)
        self.device = _device(device)
        self._cuda = self.device.type == "cuda"
        network = _ready(network).to(self.device)
        super().__init__(NetworkSource.of_network(network))
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        f16 = precision == "f16" or (precision == "auto" and self._cuda)
        self._dtype = torch.float16 if f16 else torch.bfloat16
        self._mixed = f16 or precision == "bf16"
        if self._mixed:
            _convert_matrices(self._network, self._dtype)
        self._graphs: dict[tuple, Graph] = {}
        self._streams: list[torch.cuda.Stream] = []
        self._pinned: dict[tuple[int, ...], Tensor] = {}
        self._one_mask = Lock()
        if self._cuda:
            self._pool = torch.cuda.graph_pool_handle()
            self._streams = [torch.cuda.Stream(self.device) for _ in range(1 + len(Modality))]
            self._read = torch.cuda.Event()  # when the GPU has read what was pinned
        word = str(self._dtype).removeprefix("torch.") if self._mixed else "float32"
        self.description = f"torch {torch.__version__} on {self.device}, {word}"

    @torch.inference_mode()
    def encode(
        self, images: Sequence[np.ndarray], modalities: Sequence[Modality]
    ) -> list[Features]:
        """Encoders side by side where each modality has its own, else one for the whole batch."""
        batch = self._batch(images)
        whose = () if self._network.config.shared_encoder else modalities
        key = ("encoder", batch.shape, *whose)
        if key not in self._graphs:
            encoders = Encoders(self._network, modalities, self._streams[1:])
            self._graphs[key] = self._made(encoders, [batch])
        with self._context():
            stacks = self._graphs[key](batch)
        if self._cuda:
            self._read.record(torch.cuda.current_stream(self.device))
        return [[stack[i] for stack in stacks] for i in range(len(images))]

    @torch.inference_mode()
    def _decode(
        self, features: Sequence[Features], choices: Choices, mixing: Mixing
    ) -> tuple[Any, np.ndarray]:
        inputs = [torch.stack(tuple(scale)) for scale in zip(*features, strict=True)]
        key = (*(stack.shape for stack in inputs), choices, mixing)
        if key not in self._graphs:
            decoder = DecoderGraph(self._network, len(features), choices).to(self.device)
            matrices = [torch.from_numpy(m).to(self.device) for m in self._matrices(mixing)]
            self._graphs[key] = self._made(lambda *scales: decoder(*scales, *matrices), inputs)
        with self._context():
            logits, weights = self._graphs[key](*inputs)
        return logits if self._cuda else self.array(logits), self.array(weights)

    def masks(
        self, logits: Any, size: tuple[int, int], temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        if not self._cuda:
            return masks(logits, size, temperature)
        with self._one_mask:  # side by side they would be no faster, and want memory for each
            return masks_on_device(logits, size, temperature)

    def array(self, logits: Any) -> np.ndarray:
        return logits if isinstance(logits, np.ndarray) else logits.float().cpu().numpy()

    def total(self, logits: Any) -> float:
        if isinstance(logits, np.ndarray):
            return total(logits)
        return float(logits.sum(dtype=torch.float32))

    def _batch(self, images: Sequence[np.ndarray]) -> Tensor:
        """The images on the device, or in memory of the CPU that CUDA reads on its own."""
        shape = (len(images), *images[0].shape)
        if not self._cuda:
            batch = torch.empty(shape)
        else:
            if shape not in self._pinned:
                self._pinned[shape] = torch.empty(shape, pin_memory=True)
            batch = self._pinned[shape]
            self._read.synchronize()
        for place, image in zip(batch.numpy(), images, strict=True):
            place[:] = image
        return batch if self._cuda else batch.to(self.device)

    def _made(self, graph: Graph, inputs: Sequence[Tensor]) -> Graph:
        if not self._cuda:
            return graph
        inputs = [tensor.to(self.device) for tensor in inputs]
        try:
            with self._context():
                return Recorded(graph, inputs, self._streams[0], self._pool)
        except RuntimeError as error:  # no memory, mostly
            warnings.warn(
                f"no CUDA graph could be recorded, segmenting is slower ({error})", stacklevel=2
            )
            return lambda *given: graph(*(tensor.to(self.device) for tensor in given))

    def _context(self) -> AbstractContextManager:
        # What autocast keeps of a call would be gone in a recorded one.
        cast = torch.autocast(
            self.device.type, self._dtype, enabled=self._mixed, cache_enabled=False
        )
        return cast if self._mixed else nullcontext()


class Encoders(nn.Module):
    """images (N, 3, H, W) of these modalities -> four feature maps (N, C, h, w).

    Given streams of CUDA each encoder has one of its own: an image alone leaves most of a GPU idle.
    """

    def __init__(
        self,
        network: Any2Seg,
        modalities: Sequence[Modality],
        streams: Sequence[torch.cuda.Stream] = (),
    ) -> None:
        super().__init__()
        self._streams = streams
        whose = modalities[:1] if network.config.shared_encoder else modalities
        self.encoders = nn.ModuleList(EncoderGraph(network, modality) for modality in whose)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        parts = images.chunk(len(self.encoders))
        if not self._streams or len(parts) == 1:
            each = [encode(part) for encode, part in zip(self.encoders, parts, strict=True)]
        else:
            each = self._beside(parts)
        return tuple(torch.cat(scale) for scale in zip(*each, strict=True))

    def _beside(self, parts: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        here = torch.cuda.current_stream(parts[0].device)
        each, begun = [], []
        try:
            for encode, part, stream in zip(
                self.encoders, parts, cycle(self._streams), strict=False
            ):
                stream.wait_stream(here)
                begun.append(stream)
                with torch.cuda.stream(stream):
                    each.append(encode(part))
        finally:  # a recording that failed ends only when all are together again
            for stream in begun:
                here.wait_stream(stream)
        for features in each:
            for tensor in features:
                tensor.record_stream(here)
        return each


class Recorded:
    """A function on CUDA for inputs of fixed shapes: one launch instead of hundreds.

    A frame alone is a few milliseconds of many small kernels, most of which would wait for the CPU
    to launch them. Recordings on the same `stream` may share a `pool` of memory as long as they do
    not run side by side.
    """

    def __init__(
        self, graph: Graph, inputs: Sequence[Tensor], stream: torch.cuda.Stream, pool: Any = None
    ) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        here = torch.cuda.current_stream(inputs[0].device)
        stream.wait_stream(here)
        with torch.cuda.stream(stream):  # libraries choose their kernels before they are recorded
            for _ in range(2):
                graph(*self._inputs)
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(self._graph, pool, stream, "thread_local"):
                self._outputs = graph(*self._inputs)
        here.wait_stream(stream)
        self._recorded = graph  # its weights are what is recorded

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given, non_blocking=True)
        self._graph.replay()
        return [tensor.clone() for tensor in self._outputs]


def _device(name: str) -> torch.device:
    """The device called so; ValueError where there is none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter without CUDA in torch
        raise ValueError(
            f"torch has no device '{name}' here: use auto or cpu ({str(error).splitlines()[0]})"
        ) from None
    return device


def _ready(network: Any2Seg) -> Any2Seg:
    """The network with each norm that follows a convolution multiplied into it, in place."""
    for module in list(network.modules()):
        children = list(module.named_children())
        for (name, first), (after, second) in zip(children, children[1:], strict=False):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(first, second))
                setattr(module, after, nn.Identity())
    return network


def _convert_matrices(network: Any2Seg, dtype: torch.dtype) -> None:
    """Let convolutions and linear layers have the weights that autocast would make of them."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.to(dtype)


@torch.inference_mode()
def masks_on_device(
    logits: Tensor, size: tuple[int, int], temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """What `masks` makes of logits (K, h, w), where moving them would take longer."""
    logits = logits[None].float()
    labels = _resized(logits, size[::-1]).argmax(1).byte()
    height, width = logits.shape[2:]
    likely = _resized(logits / temperature, (2 * height, 2 * width)).softmax(1).amax(1, True)
    return labels[0].cpu().numpy(), _resized(likely, size[::-1])[0, 0].cpu().numpy()


def _resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(planes, size, mode="bilinear", align_corners=False)
