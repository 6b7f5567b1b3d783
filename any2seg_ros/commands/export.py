"""`any2seg export`: write a checkpoint as OpenVINO or ONNX graphs for other programs."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""

    @app.command()
    def export(
        model: str = typer.Argument(help="A checkpoint (.safetensors)."),
        out: str = typer.Option(..., help="Folder to write to.", metavar="DIR"),
        kind: str = typer.Option("onnx", "--format", help="onnx or openvino."),
        modalities: str = typer.Option(
            "rgb+depth+lidar+event",
            help="Whose images go in; their order is always that of rgb, depth, lidar, event.",
            metavar="SUBSET",
        ),
    ) -> None:
        """Write the whole network for a fixed set of modalities: images in, logits out.

        Input images: float32 (M, 3, H, W), modality images, in the order that the graph's metadata
        and the .json beside it name as modalities. Outputs: logits (K, H/4, W/4), weights (M,).
        """
        from any2seg_ros.engine.export import export
        from any2seg_ros.types import parse_subset

        print(export(Path(model), Path(out), kind, parse_subset(modalities)))
