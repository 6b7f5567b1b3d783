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
        modalities: int = typer.Option(4, help="Number of modality images that go in.", min=1),
    ) -> None:
        """Write the whole network for a fixed number of modalities: images in, logits out.

        Input: float32 (M, 3, H, W), modality images. Outputs: logits (K, H/4, W/4), weights (M,).
        """
        from any2seg_ros.engine.export import export

        print(export(Path(model), Path(out), kind, modalities))
