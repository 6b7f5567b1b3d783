"""Times the shipped network against the alternative: SegFormer-B0 on one RGB image."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from any2seg_ros.bench.network import drive_images, in_turn, segformer_config

SECTION = "alternative"
SIZES = ((256, 144), (512, 288))
PRECISIONS = ("auto", "f32")
ROUNDS = 31


def run() -> dict[str, Any]:
    """Times of the shipped network, masks included, and ratios to SegFormer-B0's logits.

    Both with OpenVINO, same size and precision, alternating calls. Ratios are medians over the
    rounds: `wall` from call to result, `processor` the CPU time of all threads.
    """
    figures: dict[str, Any] = {}
    for precision in PRECISIONS:
        for size in SIZES:
            figures[f"{precision}_{size[0]}x{size[1]}"] = compared(size, precision)
    return figures


def compared(size: tuple[int, int], precision: str) -> dict[str, Any]:
    """Milliseconds, and ratios to SegFormer, at one size (width, height) and precision."""
    from any2seg_ros.engine import EngineConfig, Segmenter
    from any2seg_ros.types import Modality

    config = EngineConfig(engine="openvino", precision=precision, width=size[0], height=size[1])
    segmenter = Segmenter.open(config)
    segmenter.prepare()
    images = drive_images(segmenter)
    alone = {Modality.RGB: images[Modality.RGB]}
    features = segmenter.encode(images)
    theirs = _segformer(size, precision)
    calls = {
        "segformer": lambda: theirs.infer([images[Modality.RGB][None]], share_inputs=True),
        "four": lambda: segmenter.segment(images, size),
        "one": lambda: segmenter.segment(alone, size),
        "encode_four": lambda: segmenter.encode(images),
        "fuse_four": lambda: segmenter.fuse(features, size),
    }
    figures: dict[str, Any] = {}
    for clock in (time.perf_counter, time.process_time):
        times = in_turn(*calls.values(), rounds=ROUNDS, clock=clock)
        name = "wall" if clock is time.perf_counter else "processor"
        medians, ratios = np.median(times, 0), np.median(times / times[:, :1], 0)
        figures[f"{name}_ms"] = _by_name(calls, 1e3 * medians)
        figures[f"{name}_ratio"] = _by_name(calls, ratios)
    return figures


def _by_name(names: Iterable[str], values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in zip(names, values, strict=True)}


def _segformer(size: tuple[int, int], precision: str) -> Any:
    """An inference request of SegFormer-B0; random weights take the same time."""
    import torch
    from transformers import SegformerForSemanticSegmentation

    from any2seg_ros.engine.conversion import convert
    from any2seg_ros.engine.openvino_import import ov
    from any2seg_ros.network.mit import MIT_CONFIGS

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = segformer_config(MIT_CONFIGS["mit_b0"], 256)
            self.network = SegformerForSemanticSegmentation(config).eval()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images).logits

    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    if precision != "auto":
        options["INFERENCE_PRECISION_HINT"] = precision
    graph = convert(Logits(), [(1, 3, size[1], size[0])])
    return ov.Core().compile_model(graph, "CPU", options).create_infer_request()
