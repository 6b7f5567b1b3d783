"""A checkpoint as a graph file that other programs run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from any2seg_ros.engine.engines import resolve
from any2seg_ros.modalities import Subset, subset_name
from any2seg_ros.network import Any2Seg, checkpoints

FORMATS = ("onnx", "openvino")


class Whole(nn.Module):
    """images (M, 3, H, W) of a subset, in vocabulary order -> logits (K, H/4, W/4), weights."""

    def __init__(self, network: Any2Seg, subset: Subset) -> None:
        super().__init__()
        self.network = network
        self.subset = subset

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(images, self.subset)


def export(model: Path, out: Path, kind: str, subset: Subset) -> Path:
    """Write images (M, 3, H, W) of a subset -> logits, weights to `out` and tell the file's path.

    Beside it a .json says taxonomy, size, placing and temperatures.
    """
    if kind not in FORMATS:
        raise ValueError(f"unknown format '{kind}': use one of {', '.join(FORMATS)}")
    resolve("onnxruntime" if kind == "onnx" else kind, "cpu")
    network, metadata = checkpoints.load(model)
    whole = Whole(network.folded(), subset)
    width, height = metadata.size
    shapes = [(len(subset), 3, height, width)]
    out.mkdir(parents=True, exist_ok=True)
    name = f"{model.stem}_{subset_name(subset)}"
    if kind == "onnx":
        from any2seg_ros.engine.onnx_engine import convert

        path = out / f"{name}.onnx"
        path.write_bytes(convert(whole, shapes))
    else:
        import openvino

        from any2seg_ros.engine.openvino_engine import convert as convert_openvino

        path = out / f"{name}.xml"
        openvino.save_model(convert_openvino(whole, shapes), path, compress_to_fp16=False)
    (out / f"{name}.json").write_text(json.dumps(asdict(metadata), indent=2) + "\n")
    return path
