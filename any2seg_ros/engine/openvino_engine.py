"""Inference with OpenVINO: a graph of fixed shape for each number of modalities."""

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
    """See `engines.Engine`. MFF is symmetric: only the number of modalities shapes a graph.

    Many choices are one graph, whose decoder runs on all of them as a batch.
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
        self._encoders: dict[int, ov.InferRequest] = {}
        self._decoders: dict[tuple[tuple[int, ...], ...], ov.InferRequest] = {}
        version = ov.get_version().split("-")[0]
        self.description = f"OpenVINO {version} on {self._device}, precision {precision}"

    def encode(self, images: np.ndarray) -> list[np.ndarray]:
        if len(images) not in self._encoders:
            self._encoders[len(images)] = self._compile(self._encoder_of(images.shape))
        return self._run(self._encoders[len(images)], [images])

    def segment(
        self, maps: Sequence[np.ndarray], choices: Choices | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        shapes = tuple(m.shape for m in maps)
        wanted = choices or everything(len(maps[0]))
        key = (*shapes, *wanted)
        if key not in self._decoders:
            half = DecoderHalf(self._network, len(maps[0]), wanted)
            model = self._cache.model("decoder", key, lambda: convert(half, shapes))
            self._decoders[key] = self._compile(model)
        logits, weights = self._run(self._decoders[key], maps)
        return logits, weights

    def _encoder_of(self, shape: tuple[int, ...]) -> ov.Model:
        """One conversion serves every number of modalities; its shape is fixed for each."""
        if self._encoder is None:
            shapes = [(2, *shape[1:])]
            self._encoder = self._cache.model(
                "encoder", shapes, lambda: convert(EncoderHalf(self._network), shapes)
            )
        model = self._encoder.clone()
        model.reshape(list(shape))
        return model

    def _compile(self, model: ov.Model) -> ov.InferRequest:
        return self._core.compile_model(model, self._device, self._options).create_infer_request()

    @staticmethod
    def _run(request: ov.InferRequest, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        arrays = [np.ascontiguousarray(array, np.float32) for array in inputs]
        return list(request.infer(arrays, share_inputs=True).values())


def convert(half: nn.Module, shapes: Sequence[tuple[int, ...]]) -> ov.Model:
    """The OpenVINO graph of a module with inputs of these shapes; weights are in the graph."""
    examples = tuple(torch.rand(shape) for shape in shapes)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The converter would trace as well, and then run everything twice more to check itself.
        traced = torch.jit.trace(half, examples, check_trace=False)
        return ov.convert_model(traced, example_input=examples, input=[list(s) for s in shapes])
