"""`any2seg export`: write a checkpoint as graphs for other programs, or for the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def export(
        model: Annotated[Path, typer.Argument(help="A checkpoint (.safetensors).")],
        out: Annotated[
            Path | None,
            typer.Option(help="Folder to write to; graphs go beside MODEL without it."),
        ] = None,
        format: Annotated[str, typer.Option(help="onnx, openvino or graphs.")] = "onnx",
        modalities: Annotated[
            str,
            typer.Option(
                help="Whose images go in; their order is always that of rgb, depth, lidar, event.",
                metavar="SUBSET",
            ),
        ] = "rgb+depth+lidar+event",
        width: Annotated[int, typer.Option(min=0, help="graphs: network_width, if set.")] = 0,
        height: Annotated[int, typer.Option(min=0, help="graphs: network_height, if set.")] = 0,
    ) -> None:
        """Write the whole network for a fixed set of modalities: images in, logits out.

        Input images: float32 (M, 3, H, W), modality images, in the order that the graph's metadata
        and the .json beside it name as modalities. Outputs: logits (K, H/4, W/4), weights (M,).

        With --format graphs: what the node runs with OpenVINO, for any subset. A node that finds
        <MODEL>.graphs beside its weights starts without torch.
        """
        from any2seg_ros.engine import export as exporting
        from any2seg_ros.types import parse_subset

        if format == "graphs":
            print(exporting.export_graphs(model, out or model.parent, (width, height)))
            return
        if out is None:
            raise ValueError(f"--format {format} needs --out: the folder to write to")
        print(exporting.export(model, out, format, parse_subset(modalities)))
