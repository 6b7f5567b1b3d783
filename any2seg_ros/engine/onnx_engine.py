"""Inference with ONNX Runtime, for CPUs that OpenVINO does not know."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from any2seg_ros.engine.features import Choices, Features, stacked
from any2seg_ros.engine.graph_engine import GraphEngine, Mixing
from any2seg_ros.engine.graphs import DecoderGraph, EncoderGraph
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.types import Modality

OPSET = 17


class OnnxEngine(GraphEngine):
    """See `engines.Engine`."""

    def __init__(self, source: NetworkSource, threads: int) -> None:
        super().__init__(source)
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sessions: dict[tuple[tuple[int, ...], ...], ort.InferenceSession] = {}
        self.description = f"ONNX Runtime {ort.__version__} on cpu, float32"

    def encode(
        self, images: Sequence[np.ndarray], modalities: Sequence[Modality]
    ) -> list[Features]:
        if self._source.shared_encoder:
            return list(zip(*self._encode(np.stack(images), Modality.RGB), strict=True))
        pairs = zip(images, modalities, strict=True)
        each = [self._encode(image[None], modality) for image, modality in pairs]
        return [[scale[0] for scale in features] for features in each]

    def _decode(
        self, features: Sequence[Features], choices: Choices, mixing: Mixing
    ) -> tuple[np.ndarray, np.ndarray]:
        make = lambda: DecoderGraph(self._source.network, len(features), choices)  # noqa: E731
        logits, weights = self._run(make, [*stacked(features), *self._matrices(mixing)], choices)
        return logits, weights

    def _encode(self, images: np.ndarray, modality: Modality) -> list[np.ndarray]:
        make = lambda: EncoderGraph(self._source.network, modality)  # noqa: E731
        return self._run(make, [images], ((modality,),))

    def _run(
        self, make: Callable[[], nn.Module], inputs: Sequence[np.ndarray], told: Choices
    ) -> list[np.ndarray]:
        """Run a graph; `told` besides the inputs' shapes is what it is made from."""
        shapes = tuple(array.shape for array in inputs)
        key = (*shapes, *told)
        session = self._sessions.get(key)
        if session is None:
            session = ort.InferenceSession(
                convert(make(), shapes), self._options, providers=["CPUExecutionProvider"]
            )
            self._sessions[key] = session
        names = [i.name for i in session.get_inputs()]
        arrays = [np.ascontiguousarray(array, np.float32) for array in inputs]
        return session.run(None, dict(zip(names, arrays, strict=True)))


def convert(
    module: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> bytes:
    """The ONNX file of a module with inputs of these shapes; `inputs` and `outputs` name them."""
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),  # else what is in it is left in training mode
            tuple(torch.rand(shape) for shape in shapes),
            file,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
