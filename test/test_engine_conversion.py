"""A converted graph computes what its module does, and says nothing of it to anybody."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("openvino")

from any2seg_ros.engine.conversion import convert
from any2seg_ros.engine.openvino_import import ov


class Chosen(nn.Module):
    """The sum of the rows that are chosen, and of a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), 10.0))

    def forward(self, rows: Tensor, chosen: Tensor) -> Tensor:
        return (rows * chosen.to(rows.dtype)[0, :, None]).sum(0) + self.weight


def run(graph: ov.Model, *inputs: np.ndarray) -> np.ndarray:
    return next(iter(ov.compile_model(graph, "CPU")(list(inputs)).values()))


def test_a_graph_computes_what_its_module_does():
    module = nn.Conv2d(3, 2, 3)
    graph = convert(module, [(1, 3, 8, 8)])
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype("f4")
    assert [list(i.shape) for i in graph.inputs] == [[1, 3, 8, 8]]
    with torch.no_grad():
        expected = module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(run(graph, image), expected, atol=0.05)  # bf16 where there is


def test_what_is_chosen_is_an_input_that_may_change():
    graph = convert(Chosen(), [(3, 2)], 3)
    rows = np.array([[1, 2], [4, 8], [16, 32]], np.float32)
    for chosen, expected in (([1, 0, 1], [27, 44]), ([0, 1, 0], [14, 18])):
        found = run(graph, rows, np.array([chosen], bool))
        np.testing.assert_allclose(found, expected)


def test_nothing_of_telemetry_is_left_behind():
    convert(nn.ReLU(), [(1, 2)])
    assert sys.modules.get("openvino_telemetry") is None
