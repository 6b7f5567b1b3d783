"""Torch modules to OpenVINO graphs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from any2seg_ros.engine.openvino_import import ov, without_telemetry
from any2seg_ros.engine.torch_threads import one_thread


def convert(module: nn.Module, shapes: Sequence[tuple[int, ...]], chosen: int = 0) -> ov.Model:
    """The OpenVINO graph of a module with inputs float32 of these shapes, and one bool (1, chosen)
    if that is not 0; weights are in the graph."""
    examples = tuple(torch.rand(shape) for shape in shapes)
    if chosen:
        examples += (torch.ones(1, chosen, dtype=torch.bool),)
    with warnings.catch_warnings(), torch.no_grad(), without_telemetry(), one_thread():
        warnings.simplefilter("ignore")
        # The converter would trace as well, and then run everything twice more to check itself.
        traced = torch.jit.trace(module, examples, check_trace=False)
        return ov.convert_model(
            traced, example_input=examples, input=[list(e.shape) for e in examples]
        )
