"""Inference with ONNX Runtime, for CPUs that OpenVINO does not know."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from any2seg_ros.engine.halves import Choices, DecoderHalf, EncoderHalf, everything
from any2seg_ros.network import Any2Seg

OPSET = 17


class OnnxEngine:
    """See `engines.Engine`."""

    def __init__(self, network: Any2Seg, threads: int) -> None:
        self._network = network
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sessions: dict[tuple[tuple[int, ...], ...], ort.InferenceSession] = {}
        self.description = f"ONNX Runtime {ort.__version__} on cpu, float32"

    def encode(self, images: np.ndarray) -> list[np.ndarray]:
        return self._run(lambda: EncoderHalf(self._network), [images])

    def segment(
        self, maps: Sequence[np.ndarray], choices: Choices | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        count = len(maps[0])
        wanted = choices or everything(count)
        logits, weights = self._run(lambda: DecoderHalf(self._network, count, wanted), maps, wanted)
        return logits, weights

    def _run(
        self, half: Callable[[], nn.Module], inputs: Sequence[np.ndarray], choices: Choices = ()
    ) -> list[np.ndarray]:
        shapes = tuple(array.shape for array in inputs)
        key = (*shapes, *choices)
        session = self._sessions.get(key)
        if session is None:
            session = ort.InferenceSession(
                convert(half(), shapes), self._options, providers=["CPUExecutionProvider"]
            )
            self._sessions[key] = session
        names = [i.name for i in session.get_inputs()]
        arrays = [np.ascontiguousarray(array, np.float32) for array in inputs]
        return session.run(None, dict(zip(names, arrays, strict=True)))


def convert(half: nn.Module, shapes: Sequence[tuple[int, ...]]) -> bytes:
    """The ONNX file of a module with inputs of these shapes."""
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            half,
            tuple(torch.rand(shape) for shape in shapes),
            file,  # type: ignore[arg-type]
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
