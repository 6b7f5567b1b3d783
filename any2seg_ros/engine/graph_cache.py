"""OpenVINO graphs on disk: converting a network takes seconds, reading it back does not."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import openvino as ov
import torch

from any2seg_ros.engine import graphs
from any2seg_ros.files import clear_parts, part_of
from any2seg_ros.network import Any2Seg, adapters, any2seg, decoder, efficientnet, fusion, mit

_SOURCES = (adapters, any2seg, decoder, efficientnet, fusion, graphs, mit)
_CONVERTER = Path(__file__).with_name("openvino_engine.py")
"""What makes the graphs; it imports this module."""

UNUSED = 28 * 24 * 3600.0
"""Seconds after which graphs of a network that was not opened are removed."""


class GraphCache:
    """Graphs of one network, by half and a key, in ANY2SEG_CACHE or the user's cache folder.

    The key is all that shapes a graph: the shapes of its inputs, and the choices of a decoder.

    The folder's name tells the weights, the code and the versions of OpenVINO and torch; its time
    is when a graph was last wanted. Where nothing can be written, graphs are made each time.
    """

    def __init__(self, network: Any2Seg) -> None:
        self._folder = _root() / _digest(network)

    def model(
        self, half: str, key: Sequence[tuple[int, ...]], make: Callable[[], ov.Model]
    ) -> ov.Model:
        """The graph from disk, or `make`'s, which is then kept."""
        name = "_".join("x".join(map(str, part)) for part in key)
        folder = self._folder / f"{half}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        _touch(self._folder)
        try:
            if (folder / "graph.xml").is_file():
                return ov.Core().read_model(folder / "graph.xml")
        except (RuntimeError, OSError):  # damaged, or another user's
            shutil.rmtree(folder, ignore_errors=True)
        graph = make()
        _keep(graph, folder)
        _prune(self._folder.parent)
        return graph


def _keep(graph: ov.Model, folder: Path) -> None:
    partial = part_of(folder)
    try:
        clear_parts(folder)
        partial.mkdir(parents=True)
        ov.save_model(graph, partial / "graph.xml", compress_to_fp16=False)
        os.replace(partial, folder)
    except (OSError, RuntimeError):  # no space left, or another process was first
        shutil.rmtree(partial, ignore_errors=True)


def _touch(folder: Path) -> None:
    with suppress(OSError):  # not there yet, or another user's
        os.utime(folder)


def _prune(root: Path) -> None:
    """Remove the graphs of networks that nobody has opened for a long time."""
    for folder in root.glob("*"):
        ours = re.fullmatch("[0-9a-f]{16}", folder.name)
        with suppress(OSError):  # another process was first
            if ours and time.time() - folder.stat().st_mtime > UNUSED:
                shutil.rmtree(folder, ignore_errors=True)


def _root() -> Path:
    if os.environ.get("ANY2SEG_CACHE"):
        return Path(os.environ["ANY2SEG_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "any2seg_ros"


def _digest(network: Any2Seg) -> str:
    versions = f"{ov.get_version()} {torch.__version__} {network.config}"
    digest = hashlib.sha256(versions.encode())
    for file in (*(Path(str(module.__file__)) for module in _SOURCES), _CONVERTER):
        digest.update(file.read_bytes())
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
