"""A checkpoint as graph files: for other programs, and for the node to start from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor, nn

from any2seg_ros.engine.engines import resolve
from any2seg_ros.engine.segmenter import Segmenter
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.files import clear_parts, part_of
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.types import Subset, subset_name

ENDINGS = {"onnx": "onnx", "openvino": "xml"}
"""Of the graph's file, by format."""
FORMATS = (*ENDINGS, "graphs")
"""What `any2seg export` writes; see `export` and `export_graphs`."""
INPUTS, OUTPUTS = ("images",), ("logits", "weights")
"""What the graph's inputs and outputs are called."""
ORDER = "modalities"
"""Where graph and .json say whose images go in, in which order."""


class Whole(nn.Module):
    """images (M, 3, H, W) of a subset, in vocabulary order -> logits (K, H/4, W/4), weights."""

    def __init__(self, network: Any2Seg, subset: Subset) -> None:
        super().__init__()
        self.network = network
        self.subset = subset

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(images, self.subset)


def export(
    model: Path, out: Path, format: str, subset: Subset, size: tuple[int, int] = (0, 0)
) -> Path:
    """Write images (M, 3, H, W) of a subset -> logits, weights to `out` and tell the file's path.

    The images are in vocabulary order, which the graph's metadata name as `modalities`. Beside it a
    .json says the same as a list, and taxonomy, size, preprocessing and temperatures. `size` is the
    (width, height) of the images, that of the training if 0. ValueError for a format that there is
    not, and for a network of which there are no graphs.
    """
    if format not in ENDINGS:
        raise ValueError(f"unknown format '{format}': use one of {', '.join(FORMATS)}")
    resolve("onnxruntime" if format == "onnx" else format, "cpu")
    _source(model)
    network, metadata = checkpoints.load(model)
    metadata = _sized(metadata, size)
    subset = tuple(sorted(subset))
    whole = Whole(network.folded(), subset)
    width, height = metadata.size
    write = _write_onnx if format == "onnx" else _write_openvino
    name = f"{model.stem}_{subset_name(subset)}"
    told = {ORDER: [modality.label for modality in subset], **asdict(metadata)}
    clear_parts(out / name)
    part = part_of(out / name)
    part.mkdir(parents=True)
    try:
        write(whole, [(len(subset), 3, height, width)], part / f"{name}.{ENDINGS[format]}")
        (part / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n")
        for file in sorted(part.iterdir()):  # OpenVINO's .bin before the .xml that needs it
            os.replace(file, out / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out / f"{name}.{ENDINGS[format]}"


def export_graphs(model: Path, out: Path, size: tuple[int, int] = (0, 0)) -> Path:
    """Write what OpenVINO runs of a checkpoint to `<out>/<model>.graphs` and tell that folder.

    A node that finds it beside the weights starts without torch. `size` is the (width, height) of
    the modality images, that of the training if 0. Graphs of other weights or of other code that
    are there are removed.
    """
    resolve("openvino", "cpu")
    from any2seg_ros.engine.graph_cache import GraphCache
    from any2seg_ros.engine.openvino_engine import OpenVinoEngine

    source = _source(model)
    metadata = _sized(checkpoints.read_header(model).metadata, size)
    folder = out / f"{model.stem}.graphs"
    cache = GraphCache(source, folder)
    engine = OpenVinoEngine(source, "cpu", 0, "auto", cache)
    Segmenter(engine, metadata).prepare()
    cache.remove_others()
    if not cache.holds_all():
        raise OSError(f"graphs cannot be written to {folder}: is there space, and may you?")
    return folder


def _source(model: Path) -> NetworkSource:
    """The network of a checkpoint; ValueError where no graphs can be made of it."""
    source = NetworkSource.of_checkpoint(model)
    if source.whole:
        raise ValueError(f"{model} cannot be cut in two: torch runs it, and there are no graphs")
    return source


def _sized(metadata: Metadata, size: tuple[int, int]) -> Metadata:
    width, height = metadata.size
    return replace(metadata, size=(size[0] or width, size[1] or height))


def _write_onnx(whole: Whole, shapes: Sequence[tuple[int, ...]], path: Path) -> None:
    try:
        import onnx
    except ImportError:
        raise ValueError("writing ONNX needs onnx: pip install onnx") from None

    from any2seg_ros.engine.onnx_engine import convert

    graph = onnx.load_from_string(convert(whole, shapes, INPUTS, OUTPUTS))
    onnx.helper.set_model_props(graph, {ORDER: subset_name(whole.subset)})
    onnx.save(graph, path)


def _write_openvino(whole: Whole, shapes: Sequence[tuple[int, ...]], path: Path) -> None:
    from any2seg_ros.engine.conversion import convert
    from any2seg_ros.engine.openvino_import import ov

    graph = convert(whole, shapes)
    ports = zip([*graph.inputs, *graph.outputs], [*INPUTS, *OUTPUTS], strict=True)
    for port, name in ports:
        port.get_tensor().set_names({name})
    graph.set_rt_info(subset_name(whole.subset), ORDER)
    ov.save_model(graph, path, compress_to_fp16=False)
