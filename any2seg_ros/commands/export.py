"""`any2seg export`: write weights as graphs, for other programs or for the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[Path, typer.Argument(help="real, streets or weights (.safetensors).")],
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder; graphs go beside MODEL by default.", metavar="DIR"),
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="onnx, openvino or graphs.")] = "onnx",
    modalities: Annotated[
        str,
        typer.Option(
            help="The sensors whose images go in, always in the order rgb, depth, lidar, event.",
            metavar="SUBSET",
        ),
    ] = "rgb+depth+lidar+event",
    width: Annotated[
        int,
        typer.Option(min=0, max=4096, help="Of the images (px); 0: as trained."),
    ] = 0,
    height: Annotated[
        int,
        typer.Option(min=0, max=4096, help="Likewise."),
    ] = 0,
) -> None:
    """Write the whole network for a fixed set of modalities as one graph.

    Input: images float32 (M, 3, H, W), one modality image each, in the order that the graph's
    metadata and the .json beside it list as modalities. Outputs: logits
    (K, H/4, W/4) and weights (M,).

    With --format graphs: what the node runs with OpenVINO, for any subset. A node that finds
    MODEL.graphs beside its weights starts without torch; --width and --height are its
    network_width and network_height.
    """
    from any2seg_ros.engine import export as exporting
    from any2seg_ros.resources import weights_path
    from any2seg_ros.types import parse_subset

    path, size = weights_path(str(model)), (width, height)
    if kind == "graphs":
        print(exporting.export_graphs(path, out or path.parent, size))
        return
    if out is None:
        raise ValueError(f"--format {kind} needs --out: the folder to write to")
    print(exporting.export(path, out, kind, parse_subset(modalities), size))
