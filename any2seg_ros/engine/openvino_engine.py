"""Inference with OpenVINO: images side by side through the encoder, then one graph for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import nn

from any2seg_ros.engine.graph_cache import GraphCache
from any2seg_ros.engine.graphs import (
    Choices,
    DecoderGraph,
    EncoderGraph,
    GraphEngine,
    Maps,
    stacked,
)
from any2seg_ros.network import Any2Seg
from any2seg_ros.types import Modality


class OpenVinoEngine(GraphEngine):
    """See `engines.Engine`.

    An encoder's graph takes one image. As many images as there are threads are encoded side by
    side, each by a thread of its own, which waits for no other; what is left shares the threads.
    Of the rest, MFF and decoder, only the number of modalities shapes a graph, apart from the
    adapters' matrices; many choices are one graph, whose decoder runs on all of them as a batch.
    """

    def __init__(self, network: Any2Seg, device: str, threads: int, precision: str) -> None:
        super().__init__(network)
        self._cache = GraphCache(network)
        self._core = ov.Core()
        self._device = "CPU" if device == "auto" else device.upper()
        have = self._core.available_devices
        if self._device not in {*have, *(name.split(".")[0] for name in have)}:
            raise ValueError(
                f"OpenVINO has no device '{device}' here: use auto or one of {', '.join(have)}"
            )
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        if precision != "auto":
            options["INFERENCE_PRECISION_HINT"] = precision
        self._options = options
        self._graphs: dict[Modality, ov.Model] = {}
        self._encoders: dict[tuple[Modality, int], ov.CompiledModel] = {}
        self._requests: dict[tuple[Modality, int], list[ov.InferRequest]] = {}
        self._decoders: dict[tuple[tuple[int, ...], ...], ov.InferRequest] = {}
        version = ov.get_version().split("-")[0]
        self.description = f"OpenVINO {version} on {self._device}, precision {precision}"

    def encode(self, images: Sequence[np.ndarray], modalities: Sequence[Modality]) -> list[Maps]:
        images = [np.ascontiguousarray(image, np.float32) for image in images]
        whose = [self._whose(modality) for modality in modalities]
        threads = self._threads(images, whose[0])
        maps: list[Maps] = []
        for i in range(0, len(images), threads):
            beside = self._encoded(images[i : i + threads], whose[i : i + threads])
            maps += [[view[0].copy() for view in views] for views in beside]
        return maps

    def _decode(
        self, maps: Sequence[Maps], choices: Choices, mixing: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        arrays = stacked(maps)
        shapes = tuple(array.shape for array in arrays)
        key = (*shapes, *choices, mixing)
        if key not in self._decoders:
            self._decoders[key] = self._decoder(shapes, choices, mixing)
        logits, weights = self._decoders[key].infer(arrays, share_inputs=True).values()
        return logits, weights

    def _decoder(
        self, shapes: tuple[tuple[int, ...], ...], choices: Choices, mixing: tuple[int, ...]
    ) -> ov.InferRequest:
        half = DecoderGraph(self._network, shapes[0][0], choices)
        matrices = [matrix.numpy() for matrix in self._matrices(mixing)]
        inputs = (*shapes, *(array.shape for array in matrices))
        graph = self._cache.model("decoder", (*inputs, *choices), lambda: convert(half, inputs))
        for parameter, array in zip(graph.get_parameters()[4:], matrices, strict=True):
            # A constant costs a tenth of what an input does, and the graph is as good as new.
            parameter.output(0).replace(ov.opset13.constant(array).output(0))
            graph.remove_parameter(parameter)
        return self._compile(graph).create_infer_request()

    def _encoded(
        self, images: Sequence[np.ndarray], whose: Sequence[Modality]
    ) -> list[list[np.ndarray]]:
        """The four maps (1, C, h, w) of each image, all of them encoded side by side.

        They are views of what the next call overwrites.
        """
        streams = len(images)
        running: list[ov.InferRequest] = []
        for image, modality in zip(images, whose, strict=True):
            request = self._request(image.shape, modality, streams, whose[: len(running)])
            request.start_async([image[None]], share_inputs=True)
            running.append(request)
        for request in running:
            request.wait()
        return [[t.data for t in request.output_tensors] for request in running]

    def _request(
        self, shape: tuple[int, ...], modality: Modality, streams: int, taken: Sequence[Modality]
    ) -> ov.InferRequest:
        """A request of the modality's encoder that runs in one of so many streams, and that is
        not among those `taken`."""
        own = self._requests.setdefault((modality, streams), [])
        number = list(taken).count(modality)
        if number == len(own):
            own.append(self._encoder(shape, modality, streams).create_infer_request())
        return own[number]

    def _encoder(
        self, shape: tuple[int, ...], modality: Modality, streams: int
    ) -> ov.CompiledModel:
        key = modality, streams
        if key not in self._encoders:
            if modality not in self._graphs:
                half = EncoderGraph(self._network, modality)
                shapes = [(1, *shape)]
                self._graphs[modality] = self._cache.model(
                    f"encoder{modality}", shapes, lambda: convert(half, shapes)
                )
            options: dict[str, Any] = {"NUM_STREAMS": streams}
            if self._device == "CPU":  # encoders side by side must not all be bound to one core
                options["ENABLE_CPU_PINNING"] = False
            self._encoders[key] = self._compile(self._graphs[modality], **options)
        return self._encoders[key]

    def _whose(self, modality: Modality) -> Modality:
        """The modality whose encoder is used: the first in order where all share one."""
        return Modality.RGB if self._network.config.shared_encoder else modality

    def _threads(self, images: Sequence[np.ndarray], modality: Modality) -> int:
        """How many images are encoded side by side: one a thread, all of them on other devices."""
        if self._device != "CPU":
            return len(images)
        encoder = self._encoder(images[0].shape, modality, 1)
        return int(encoder.get_property("INFERENCE_NUM_THREADS"))

    def _compile(self, model: ov.Model, **options: Any) -> ov.CompiledModel:
        return self._core.compile_model(model, self._device, {**self._options, **options})


def convert(half: nn.Module, shapes: Sequence[tuple[int, ...]]) -> ov.Model:
    """The OpenVINO graph of a module with inputs of these shapes; weights are in the graph."""
    examples = tuple(torch.rand(shape) for shape in shapes)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The converter would trace as well, and then run everything twice more to check itself.
        traced = torch.jit.trace(half, examples, check_trace=False)
        return ov.convert_model(traced, example_input=examples, input=[list(s) for s in shapes])
