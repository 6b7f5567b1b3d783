"""`any2seg export`: write weights as an OpenVINO or ONNX graph for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[Path, typer.Argument(help="Weights (.safetensors).")],
    out: Annotated[Path, typer.Option(help="Output folder.", metavar="DIR")],
    kind: Annotated[str, typer.Option("--format", help="onnx or openvino.")] = "onnx",
    modalities: Annotated[
        str,
        typer.Option(
            help="The sensors whose images go in, always in the order rgb, depth, lidar, event.",
            metavar="SUBSET",
        ),
    ] = "rgb+depth+lidar+event",
) -> None:
    """Write the whole network for a fixed set of modalities as one graph.

    Input: images float32 (M, 3, H, W), one modality image each, in the order that the graph's
    metadata and the .json beside it list as modalities. Outputs: logits
    (K, H/4, W/4) and weights (M,).
    """
    from any2seg_ros.engine.export import export as write
    from any2seg_ros.types import parse_subset

    print(write(model, out, kind, parse_subset(modalities)))
