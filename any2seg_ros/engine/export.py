"""A checkpoint as a graph file that other programs run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from any2seg_ros.network import checkpoints

FORMATS = ("onnx", "openvino")


def export(model: Path, out: Path, kind: str, modalities: int) -> Path:
    """Write images (M, 3, H, W) -> logits, weights to `out` and tell the file's path.

    Beside it a .json says taxonomy, size, placing and temperatures.
    """
    if kind not in FORMATS:
        raise ValueError(f"unknown format '{kind}': use one of {', '.join(FORMATS)}")
    network, metadata = checkpoints.load(model)
    network = network.folded()
    width, height = metadata.size
    shapes = [(modalities, 3, height, width)]
    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"{model.stem}_{modalities}"
    if kind == "onnx":
        from any2seg_ros.engine.onnx_engine import convert

        path = stem.with_suffix(".onnx")
        path.write_bytes(convert(network, shapes))
    else:
        import openvino

        from any2seg_ros.engine.openvino_engine import convert as convert_openvino

        path = stem.with_suffix(".xml")
        openvino.save_model(convert_openvino(network, shapes), path, compress_to_fp16=False)
    stem.with_suffix(".json").write_text(json.dumps(asdict(metadata), indent=2) + "\n")
    return path
