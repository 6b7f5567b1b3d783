"""Inference with ONNX Runtime, for CPUs that OpenVINO does not know."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

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

OPSET = 17


class OnnxEngine(GraphEngine):
    """See `engines.Engine`."""

    def __init__(self, network: Any2Seg, threads: int) -> None:
        super().__init__(network)
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sessions: dict[tuple[tuple[int, ...], ...], ort.InferenceSession] = {}
        self.description = f"ONNX Runtime {ort.__version__} on cpu, float32"

    def encode(self, images: Sequence[np.ndarray], modalities: Sequence[Modality]) -> list[Maps]:
        if self._network.config.shared_encoder:
            return list(zip(*self._encode(np.stack(images), Modality.RGB), strict=True))
        pairs = zip(images, modalities, strict=True)
        each = [self._encode(image[None], modality) for image, modality in pairs]
        return [[scale[0] for scale in maps] for maps in each]

    def _decode(
        self, maps: Sequence[Maps], choices: Choices, mixing: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        half = lambda: DecoderGraph(self._network, len(maps), choices)  # noqa: E731
        matrices = [matrix.numpy() for matrix in self._matrices(mixing)]
        logits, weights = self._run(half, [*stacked(maps), *matrices], choices)
        return logits, weights

    def _encode(self, images: np.ndarray, modality: Modality) -> list[np.ndarray]:
        half = lambda: EncoderGraph(self._network, modality)  # noqa: E731
        return self._run(half, [images], ((modality,),))

    def _run(
        self, half: Callable[[], nn.Module], inputs: Sequence[np.ndarray], told: Choices
    ) -> list[np.ndarray]:
        """Run a half; `told` besides the inputs' shapes is what it is made from."""
        shapes = tuple(array.shape for array in inputs)
        key = (*shapes, *told)
        session = self._sessions.get(key)
        if session is None:
            session = ort.InferenceSession(
                convert(half(), shapes), self._options, providers=["CPUExecutionProvider"]
            )
            self._sessions[key] = session
        names = [i.name for i in session.get_inputs()]
        arrays = [np.ascontiguousarray(array, np.float32) for array in inputs]
        return session.run(None, dict(zip(names, arrays, strict=True)))


def convert(
    half: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> bytes:
    """The ONNX file of a module with inputs of these shapes; `inputs` and `outputs` name them."""
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            half,
            tuple(torch.rand(shape) for shape in shapes),
            file,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
