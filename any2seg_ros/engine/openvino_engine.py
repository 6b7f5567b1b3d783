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
from any2seg_ros.engine.halves import Choices, DecoderHalf, EncoderHalf, everything
from any2seg_ros.network import Any2Seg

PRECISIONS = {"auto": None, "f32": "f32", "bf16": "bf16", "f16": "f16"}


class OpenVinoEngine:
    """See `engines.Engine`.

    The encoder's graph takes one image. As many images as there are threads are encoded side by
    side, each by a thread of its own, which waits for no other; what is left shares the threads.
    Of the rest, MFF and decoder, only the number of modalities shapes a graph; many choices are
    one graph, whose decoder runs on all of them as a batch.
    """

    def __init__(self, network: Any2Seg, device: str, threads: int, precision: str) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"unknown precision '{precision}': use one of {', '.join(PRECISIONS)}")
        self._network = network
        self._cache = GraphCache(network)
        self._core = ov.Core()
        self._device = "CPU" if device in ("auto", "cpu") else device.upper()
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        if PRECISIONS[precision]:
            options["INFERENCE_PRECISION_HINT"] = PRECISIONS[precision]
        self._options = options
        self._encoder: ov.Model | None = None
        self._encoders: dict[int, ov.CompiledModel] = {}
        self._requests: dict[int, list[ov.InferRequest]] = {}
        self._decoders: dict[tuple[tuple[int, ...], ...], ov.InferRequest] = {}
        version = ov.get_version().split("-")[0]
        self.description = f"OpenVINO {version} on {self._device}, precision {precision}"

    def encode(self, images: np.ndarray) -> list[np.ndarray]:
        images = np.ascontiguousarray(images, np.float32)
        threads = self._threads(images)
        side_by_side = len(images) // threads * threads
        maps = [
            *self._encoded(images[:side_by_side], threads),
            *self._encoded(images[side_by_side:], len(images) - side_by_side),
        ]
        return [np.concatenate(scale) for scale in zip(*maps, strict=True)]

    def segment(
        self, maps: Sequence[np.ndarray], choices: Choices | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        shapes = tuple(m.shape for m in maps)
        wanted = choices or everything(len(maps[0]))
        key = (*shapes, *wanted)
        if key not in self._decoders:
            half = DecoderHalf(self._network, len(maps[0]), wanted)
            model = self._cache.model("decoder", key, lambda: convert(half, shapes))
            self._decoders[key] = self._compile(model).create_infer_request()
        arrays = [np.ascontiguousarray(array, np.float32) for array in maps]
        logits, weights = self._decoders[key].infer(arrays, share_inputs=True).values()
        return logits, weights

    def _encoded(self, images: np.ndarray, streams: int) -> list[list[np.ndarray]]:
        """The four maps (1, C, h, w) of each image, encoded in `streams` streams.

        They are views of what the next call overwrites.
        """
        if not len(images):
            return []
        encoder = self._encoder_of(images, streams)
        requests = self._requests.setdefault(streams, [])
        while len(requests) < len(images):
            requests.append(encoder.create_infer_request())
        for request, image in zip(requests, images, strict=False):
            request.start_async([image[None]], share_inputs=True)
        for request in requests[: len(images)]:
            request.wait()
        return [[t.data for t in request.output_tensors] for request in requests[: len(images)]]

    def _encoder_of(self, images: np.ndarray, streams: int) -> ov.CompiledModel:
        if streams not in self._encoders:
            if self._encoder is None:
                shapes = [(1, *images.shape[1:])]
                self._encoder = self._cache.model(
                    "encoder", shapes, lambda: convert(EncoderHalf(self._network), shapes)
                )
            self._encoders[streams] = self._compile(self._encoder, NUM_STREAMS=streams)
        return self._encoders[streams]

    def _threads(self, images: np.ndarray) -> int:
        """How many images are encoded side by side: one a thread, all of them on other devices."""
        if self._device != "CPU":
            return len(images)
        return int(self._encoder_of(images, 1).get_property("INFERENCE_NUM_THREADS"))

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
