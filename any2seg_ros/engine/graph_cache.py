"""OpenVINO graphs on disk: converting a network takes seconds, reading it back does not."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import openvino as ov

from any2seg_ros.engine import halves
from any2seg_ros.network import Any2Seg, adapters, any2seg, decoder, efficientnet, fusion, mit

_SOURCES = (adapters, any2seg, decoder, efficientnet, fusion, halves, mit)


class GraphCache:
    """Graphs of one network, by half and a key, in ANY2SEG_CACHE or the user's cache folder.

    The key is all that shapes a graph: the shapes of its inputs, and the choices of a decoder.

    The folder's name tells the weights, the code and OpenVINO's version. Where nothing can be
    written, graphs are made each time.
    """

    def __init__(self, network: Any2Seg) -> None:
        self._folder = _root() / _digest(network)

    def model(
        self, half: str, key: Sequence[tuple[int, ...]], make: Callable[[], ov.Model]
    ) -> ov.Model:
        """The graph from disk, or `make`'s, which is then kept."""
        name = "_".join("x".join(map(str, part)) for part in key)
        folder = self._folder / f"{half}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        try:
            if (folder / "graph.xml").is_file():
                return ov.Core().read_model(folder / "graph.xml")
        except (RuntimeError, OSError):  # damaged, or another user's
            shutil.rmtree(folder, ignore_errors=True)
        graph = make()
        _keep(graph, folder)
        return graph


def _keep(graph: ov.Model, folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent))
    except OSError:
        return
    try:
        ov.save_model(graph, partial / "graph.xml", compress_to_fp16=False)
        partial.chmod(0o755)  # made for its owner alone: a node may be another user
        os.replace(partial, folder)
    except (OSError, RuntimeError):  # no space left, or another process was first
        shutil.rmtree(partial, ignore_errors=True)


def _root() -> Path:
    if os.environ.get("ANY2SEG_CACHE"):
        return Path(os.environ["ANY2SEG_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "any2seg_ros"


def _digest(network: Any2Seg) -> str:
    digest = hashlib.sha256(f"{ov.get_version()} {network.config}".encode())
    for module in _SOURCES:
        digest.update(Path(str(module.__file__)).read_bytes())
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
